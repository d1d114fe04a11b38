"""What several evaluation streams cost in exactness and save in time: a run's validation split, scored in many ways.

    python benchmarks/evaluation.py RUN [--device cpu] [--rounds 3] [--out FILE.json]

RUN is a run directory. Its model scores the validation split that it was trained beside, in float32, with each
`data.eval_batch_size` and `data.eval_context`. The single stream (eval_batch_size=1, where the context is without
effect) is exact: every other loss is compared with it, and every time with that of the same round.
"""

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from figures import record, save, spread

from lstm_lm.data.module import TextDataModule
from lstm_lm.data.streams import IGNORE, EvalWindows
from lstm_lm.models.interface import LanguageModel, State
from lstm_lm.models.loading import load
from lstm_lm.synchronize import synchronize
from lstm_lm.training.objectives.language_modelling import summed_cross_entropy
from lstm_lm.training.runtime.settings import keep_freed_memory

BATCH_SIZES = (4, 8, 16, 32)
CONTEXTS = (0, 64, 256)


class Layout(NamedTuple):
    """The two options that say how a split is read."""

    eval_batch_size: int
    eval_context: int


SINGLE = Layout(1, 0)
LAYOUTS = (SINGLE, *(Layout(size, context) for size in BATCH_SIZES for context in CONTEXTS))


@torch.inference_mode()
def score(model: LanguageModel, windows: EvalWindows, device: torch.device) -> float:
    """Mean loss over the split, nats per token."""
    nats, tokens = 0.0, 0
    state: State | None = None
    for batch in windows:
        batch = batch._replace(inputs=batch.inputs.to(device), targets=batch.targets.to(device))
        if batch.fresh or state is None:
            state = model.initial_state(windows.batch_size)
        logits, state = model(batch.inputs, state)
        nats += float(summed_cross_entropy(logits, batch.targets).nats)
        tokens += int((batch.targets != IGNORE).sum())
    return nats / tokens


def measure(
    model: LanguageModel, windows: dict[Layout, EvalWindows], device: torch.device, rounds: int
) -> list[dict[str, Any]]:
    """A row for each layout; the first is the single stream."""
    losses: dict[Layout, float] = {}
    seconds: dict[Layout, list[float]] = {layout: [] for layout in windows}
    score(model, windows[LAYOUTS[-1]], device)  # warms up
    for number in range(rounds):
        for layout in list(windows) if number % 2 else list(reversed(windows)):
            synchronize(device)
            began = time.perf_counter()
            losses[layout] = score(model, windows[layout], device)
            synchronize(device)
            seconds[layout].append(time.perf_counter() - began)
    return [
        {
            **layout._asdict(),
            "streams": windows[layout].batch_size,
            "loss": round(losses[layout], 6),
            "difference": round(losses[layout] - losses[SINGLE], 6) + 0.0,  # no -0.0
            "seconds": spread(seconds[layout]),
            "times_faster": spread([one / some for one, some in zip(seconds[SINGLE], seconds[layout], strict=True)]),
        }
        for layout in windows
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", help="a run directory")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the figures there, as JSON")
    arguments = parser.parse_args()

    keep_freed_memory()
    loaded = load(arguments.run, device=arguments.device, precision="32-true")
    model, config = loaded.model, loaded.config
    device = next(model.parameters()).device
    data = TextDataModule(config["data"], config["tokenizer"], config["seed"], loaded.tokenizer)
    data.prepare()
    tokens, seq_len = data.tokens("validation"), data.options.seq_len
    windows = {layout: EvalWindows(tokens, layout[0], seq_len, context=layout[1]) for layout in LAYOUTS}

    rows = measure(model, windows, device, arguments.rounds)
    print(
        f"{'eval_batch_size':>15}{'eval_context':>14}{'loss':>10}{'difference':>12}{'seconds':>9}{'times faster':>14}"
    )
    for row in rows:
        print(
            f"{row['eval_batch_size']:>10}{row['eval_context']:>9}{row['loss']:>10.5f}{row['difference']:>+12.6f}"
            f"{row['seconds']['median']:>9.2f}{row['times_faster']['median']:>14.1f}"
        )
    settings = {
        "rounds": arguments.rounds,
        "precision": "32-true",
        "threads": torch.get_num_threads(),
        "data": config["data"]["name"],
        "tokenizer": loaded.tokenizer.name,
        "model": config["model"],
        "validation_tokens": len(tokens),
        "seq_len": seq_len,
        "of_the_run": {key: config["data"][key] for key in Layout._fields},
    }
    save(record("evaluation", device, settings, {"layouts": rows}), arguments.out)


if __name__ == "__main__":
    main()
