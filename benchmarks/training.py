"""Whole training steps against the loop that people write today: torch.nn.LSTM in float32, PyTorch's defaults.

    python benchmarks/training.py [--device cpu] [--rounds 9] [--steps 10] [--shapes ...] [--out FILE.json]

Each contender is a process of its own (an allocator's setting cannot be undone within one), and they work strictly in
turn: while one takes its steps, the others wait for their pipe. In each round every contender takes the same number of
steps, in an order that moves on; ratios are each round's own. All read the same windows of the same text with the same
sizes, and the loss that each has reached is printed: nobody compares unlike work.

    today          the loop in today.py: no setting of the allocator, torch.optim.Adam, float32
    ours           the project's whole step (window, forward, loss, backward, clipping, optimizer, schedule) in a bare
                   loop, with the default precision and settings
    application    `python train.py` itself, Lightning, callbacks and logging included
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from figures import figure, record, save, spread

CONTENDER = Path(__file__).with_name("training_contender.py")
HEADLINE = "L=2 H=256 B=64 T=100"
SHAPES: dict[str, tuple[int, int, int, int, int]] = {
    HEADLINE: (2, 256, 64, 100, 128),
    "default: L=2 H=160 B=32 T=32": (2, 160, 32, 32, 64),
    "deep: L=8 H=128 B=16 T=128": (8, 128, 16, 128, 128),
    "small: L=1 H=128 B=16 T=32": (1, 128, 16, 32, 128),
}
"""L, H, B, T and the embedding's size."""
TODAY, OURS, FLOAT32 = "today", "ours", "ours, float32"
ADAMW = "optimizer=adamw"
"""The kind that today's loop has; what Muon adds to a step is for benchmarks/optimizers.py to say."""
CONTENDERS: dict[str, tuple[str, tuple[str, ...]]] = {
    TODAY: ("today", (ADAMW, "precision=32-true")),
    OURS: ("ours", (ADAMW,)),
    FLOAT32: ("ours", (ADAMW, "precision=32-true")),
    "application": ("application", (ADAMW,)),
    "application, compile": ("application", (ADAMW, "compile=default")),
    "application, pipelined": ("application", (ADAMW, "forward=pipelined")),
}
"""Name -> the way in training_contender.py, and overrides."""
ASKED = {OURS: 2.0, FLOAT32: 1.25}
"""Against today's loop, at the headline's shape, on a CPU."""
WARM_UP_ROUNDS = 2
LEAD_STEPS = 2
"""Steps of each turn that are not timed: caches are another contender's."""
PAUSE_SECONDS = 0.05
"""Before a turn: OpenMP's threads spin for some milliseconds after their last work."""


@dataclass
class Child:
    """A contender's process."""

    name: str
    process: subprocess.Popen[str]
    what: dict[str, str] = field(default_factory=dict)
    """What its configuration resolved to."""
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def answer(self) -> dict[str, Any]:
        """The next line that it writes."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name}: ended with status {self.process.wait()}; what it wrote is above")
        answered: dict[str, Any] = json.loads(line)
        return answered

    def take(self, steps: int) -> None:
        """Have it take steps; waits for them."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{LEAD_STEPS} {steps}\n")
        self.process.stdin.flush()
        answered = self.answer()
        if "refused" in answered:
            raise SystemExit(f"{self.name}: {answered['refused']}")
        self.seconds.append(answered["seconds"] / steps)
        self.losses.append(answered["loss"])


def measure(label: str, names: list[str], device: str, rounds: int, steps: int) -> dict[str, Any]:
    """All contenders at one shape."""
    planned = (rounds + WARM_UP_ROUNDS) * (LEAD_STEPS + steps) + 100
    children: list[Child] = []
    refused: dict[str, str] = {}
    try:
        for name in names:
            child = start(name, label, device, planned)
            children.append(child)
            child.what = child.answer()
            if "refused" in child.what:
                refused[name] = child.what["refused"]
                stop(children.pop())
        for number in range(rounds + WARM_UP_ROUNDS):
            for turn in range(len(children)):
                time.sleep(PAUSE_SECONDS)
                children[(number + turn) % len(children)].take(steps)
    finally:
        for child in children:
            stop(child)
    timed = {child.name: child.seconds[WARM_UP_ROUNDS:] for child in children}
    return {
        "contenders": {
            child.name: {
                **child.what,
                "step_ms": spread([value * 1e3 for value in timed[child.name]]),
                "loss": round(child.losses[-1], 4),
            }
            for child in children
        },
        "speed_of_today": {
            name: spread([a / b for a, b in zip(timed[TODAY], values, strict=True)])
            for name, values in timed.items()
            if name != TODAY
        },
        "refused": refused,
    }


def start(name: str, label: str, device: str, planned: int) -> Child:
    """Start a contender's process."""
    way, overrides = CONTENDERS[name]
    layers, hidden, batch, steps, embedding = SHAPES[label]
    order = {
        "way": way,
        "device": device,
        "overrides": [
            f"device={'gpu' if device.startswith('cuda') else device}",
            f"model.num_layers={layers}",
            f"model.hidden_size={hidden}",
            f"model.embedding_size={embedding}",
            f"data.batch_size={batch}",
            f"data.seq_len={steps}",
            f"runtime.threads={torch.get_num_threads()}",  # not: as many as the next contender's start leaves idle
            f"trainer.max_steps={planned}",
            "trainer.max_epochs=100000",
            "trainer.limit_val_batches=0",
            "trainer.enable_checkpointing=false",
            "callbacks.samples.length=0",
            *overrides,
        ],
    }
    command = [sys.executable, str(CONTENDER), json.dumps(order)]
    return Child(name, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))


def stop(child: Child) -> None:
    """End its process: the end of its input tells it to."""
    child.process.communicate()


def show(label: str, result: dict[str, Any]) -> None:
    """A small table."""
    print(f"\n{label:<32}{'ms a step':>10}{'loss':>9}{'speed of today':>22}")
    for name, contender in result["contenders"].items():
        ratio = result["speed_of_today"].get(name)
        speed = "" if ratio is None else f"{ratio['median']:.2f} ({ratio['lowest']:.2f}-{ratio['highest']:.2f})"
        what = f"{contender['precision']}, {contender['forward']}"
        print(f"{name:<32}{contender['step_ms']['median']:>10.2f}{contender['loss']:>9.3f}{speed:>22}  {what}")
    for name, reason in result["refused"].items():
        print(f"{name:<32}left out: {reason}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=10, help="timed steps of each contender in each round")
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES), help="which to measure")
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--out", type=Path, help="write the figures there, as JSON")
    arguments = parser.parse_args()

    names = [TODAY, *(name for name in arguments.contenders if name != TODAY)]
    results: dict[str, Any] = {}
    for label in arguments.shapes:
        results[label] = measure(label, names, arguments.device, arguments.rounds, arguments.steps)
        show(label, results[label])
    asked = ASKED if arguments.device == "cpu" else dict.fromkeys(ASKED)
    speeds = results.get(HEADLINE, {"speed_of_today": {}})["speed_of_today"]
    figures = [
        figure(f"whole training step, {name}, against today's loop", speeds[name], asked[name], shape=HEADLINE)
        for name in ASKED
        if name in speeds
    ]
    settings = {
        "rounds": arguments.rounds,
        "steps": arguments.steps,
        "threads": torch.get_num_threads(),
        "warm_up_rounds": WARM_UP_ROUNDS,
        "lead_steps": LEAD_STEPS,
    }
    device = torch.device(arguments.device)
    save(record("training", device, settings, {"figures": figures, "shapes": results}), arguments.out)


if __name__ == "__main__":
    main()
