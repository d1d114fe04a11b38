"""Fifty steps on a synthetic text, for every forward strategy: what a run's losses are, to be compared with kept ones.

In `64-true` they start from weights that no machine has rounded. A model's own are drawn in float32, whatever the
precision, and made orthogonal by the machine's LAPACK. Another machine's have other last digits, which losses show in
float64 (by 5e-9 nats, or 5e-8 without vector units), and in float32 don't.

`python tests/training/deterministic_losses.py` trains them anew and writes `deterministic_losses.json`. It is for a
change that is meant to change what is trained; any other one must leave the file as it is.
"""

import json
import random
import tempfile
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import torch

import lstm_lm
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel
from lstm_lm.runs import metrics_file

KEPT = Path(__file__).with_suffix(".json")
STRATEGIES = ("fused", "stepwise", "pipelined", "wavefront")
PRECISIONS = ("32-true", "64-true")


def synthetic_text() -> str:
    """5,000 characters: words in an order that has something to learn."""
    chance = random.Random(7)
    words = ["one", "two", "three", "four", "five", "six"]
    at, text = 0, ""
    while len(text) < 5000:
        at = (at + chance.choice([1, 1, 1, 2])) % len(words)
        text += words[at] + chance.choice([" ", " ", "\n"])
    return text


def exact_weights(model: RecurrentLanguageModel) -> None:
    """Gives a model weights that are the same on every machine, to the bit."""
    chance = random.Random(3)
    for parameter in model.parameters():
        scale = parameter.shape[-1] ** -0.5 if parameter.ndim > 1 else 0.1
        drawn = [chance.uniform(-scale, scale) for _ in range(parameter.numel())]
        parameter.data.copy_(torch.tensor(drawn).view_as(parameter))


def train(forward: str, precision: str, folder: Path, *, steps: int = 50, threads: int = 1) -> list[float]:
    """The loss of each step, nats per token; the run lies in `folder`/run."""
    text = folder / "synthetic.txt"
    text.write_text(synthetic_text())
    config = lstm_lm.compose(
        "data=text",
        f"data.path='{text}'",
        f"data.cache_dir='{folder / 'cache'}'",
        *("data.batch_size=4", "data.seq_len=16", "data.eval_batch_size=2", "data.eval_context=8"),
        *("model.embedding_size=8", "model.hidden_size=16", "model.num_layers=2", "model.dropout=0.2"),
        *("model.embedding_dropout=0.1", "callbacks.samples.length=0", "trainer.log_every_n_steps=1"),
        *("model.init=orthogonal", "optimizer=adamw", "optimizer.lr=4e-3", "optimizer.betas=[0.9,0.99]"),
        "optimizer.weight_decay=0.01",
        *(f"trainer.max_steps={steps}", "trainer.max_epochs=-1"),
        *(
            "device=cpu",
            f"runtime.threads={threads}",
            "deterministic=true",
            f"forward={forward}",
            f"precision={precision}",
        ),
    )
    exact = patch.object(RecurrentLanguageModel, "reset_parameters", exact_weights)
    with exact if precision == "64-true" else nullcontext():
        lstm_lm.train(config, folder / "run")
    return [row["train/loss"] for row in metrics_file.read(folder / "run" / "metrics.csv") if "train/loss" in row]


def main() -> None:
    losses = {}
    for precision in PRECISIONS:
        for forward in STRATEGIES:
            with tempfile.TemporaryDirectory() as folder:
                losses[f"{forward} {precision}"] = train(forward, precision, Path(folder))
    KEPT.write_text(json.dumps(losses, indent=1) + "\n")


if __name__ == "__main__":
    main()
