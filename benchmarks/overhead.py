"""What the application costs on top of the arithmetic: training inside it against a bare PyTorch loop, interleaved.

    python benchmarks/overhead.py [--device cpu] [--rounds 7] [--steps 150] [--out FILE.json]

Both train the same model from the same seed on the same windows, with the same precision, optimizer (fused where the
application fuses it), schedule, clipping, carried state and allocator. The application is the whole of it: Lightning,
callbacks, metrics.csv and TensorBoard at the default interval; only validation and samples are left out of the time.

A figure is the mean time of a step, so that steps which log weigh what they cost. Rounds alternate who goes
first.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from bare_loop import training_steps
from figures import record, save, spread

import lstm_lm
from lstm_lm.synchronize import synchronize
from lstm_lm.training import train as training
from lstm_lm.training.build import build
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.observers.clock import WARM_UP_STEPS, StepClock
from lstm_lm.training.plan import Plan
from lstm_lm.training.runtime.settings import quiet_lightning, runtime_settings

SHAPES: dict[str, tuple[str, ...]] = {
    "default": (),  # L=2 H=160 B=32 T=32
    "small: L=1 H=128 B=16 T=32": (
        "model.num_layers=1",
        "model.hidden_size=128",
        "data.batch_size=16",
        "data.seq_len=32",
    ),
    "large: L=2 H=512 B=32 T=64": ("model.num_layers=2", "model.hidden_size=512", "data.seq_len=64"),
}


def application(config: TrainConfig, folder: Path) -> float:
    """Mean seconds of a training step inside the application, the first ones left out."""
    clock = StepClock()
    with patch.object(training, "StepClock", lambda: clock):  # to ask it for the mean: the summary has medians
        training.train(config.plain, folder)
    assert clock.mean_ms is not None
    return clock.mean_ms / 1e3


def bare(config: TrainConfig, steps: int) -> float:
    """The same in a loop of a dozen lines."""
    parts = build(Plan.new(config))
    device, loop = parts.hardware.device, training_steps(config, parts)
    for _ in range(WARM_UP_STEPS):
        next(loop)
    synchronize(device)
    began = time.perf_counter()
    for _ in range(steps - WARM_UP_STEPS):
        next(loop)
    synchronize(device)
    return (time.perf_counter() - began) / (steps - WARM_UP_STEPS)


def measure(overrides: tuple[str, ...], device: str, rounds: int, steps: int) -> tuple[TrainConfig, dict[str, Any]]:
    """Seconds a step of both, and the ratio of their speeds in each round."""
    config = TrainConfig.parse(
        lstm_lm.compose(
            f"device={device}",
            f"trainer.max_steps={steps}",
            "trainer.max_epochs=1000",
            "trainer.limit_val_batches=0",
            "callbacks.samples.length=0",
            f"runtime.threads={torch.get_num_threads()}",  # else the application alone leaves cores to other programs
            *overrides,
        )
    )
    contenders: dict[str, Callable[[Path], float]] = {
        "application": lambda folder: application(config, folder),
        "bare": lambda _: bare(config, steps),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        order = list(contenders) if number % 2 else list(reversed(contenders))
        for name in order:
            with tempfile.TemporaryDirectory() as folder:
                took = contenders[name](Path(folder) / "run")
            if number:  # the first round warms up
                seconds[name].append(took)
    ratios = [b / a for a, b in zip(seconds["application"], seconds["bare"], strict=True)]
    return config, {
        "step_ms": {name: spread([value * 1e3 for value in values]) for name, values in seconds.items()},
        "application_speed_of_bare": spread(ratios),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="an option of device=")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=150, help="training steps of each contender in each round")
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=list(SHAPES), help="which to measure")
    parser.add_argument("--out", type=Path, help="write the figures there, as JSON")
    arguments = parser.parse_args()

    results: dict[str, Any] = {}
    used: TrainConfig | None = None
    print(f"{'':<32}{'bare':>10}{'application':>14}{'speed of bare':>16}")
    for label in arguments.shapes:
        runtime = TrainConfig.parse(lstm_lm.compose()).runtime
        with quiet_lightning(), runtime_settings(runtime):
            config, result = measure(SHAPES[label], arguments.device, arguments.rounds, arguments.steps)
        used = used or config
        results[label] = result
        ms, ratio = result["step_ms"], result["application_speed_of_bare"]
        print(
            f"{label:<32}{ms['bare']['median']:>7.2f} ms{ms['application']['median']:>11.2f} ms"
            f"{ratio['median']:>9.2f} ({ratio['lowest']:.2f}-{ratio['highest']:.2f})"
        )
    assert used is not None
    parts = build(Plan.new(used))
    settings = {
        "rounds": arguments.rounds,
        "steps": arguments.steps,
        "precision": parts.hardware.precision,
        "forward": parts.choice.name,
        "threads": torch.get_num_threads(),
        "default_model": used.plain["model"],
        "default_batch": [used.plain["data"]["batch_size"], used.plain["data"]["seq_len"]],
    }
    save(record("overhead", parts.hardware.device, settings, {"shapes": results}), arguments.out)


if __name__ == "__main__":
    main()
