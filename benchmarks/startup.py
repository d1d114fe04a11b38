"""What passes before a command does its work, in whole processes of two checkouts, in turns.

    python benchmarks/startup.py --before FOLDER [--rounds 5] [--out FILE.json]

FOLDER is another checkout, say of the commit before. As a machine with AVX2 alone would do it:
`ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2` before the command. Both read the same
prepared text. A first round is not timed: in it Python compiles both, and the disk brings them into memory.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from figures import record, save, spread

ROOT = Path(__file__).resolve().parents[1]
ONE_STEP = ("trainer.max_steps=1", "trainer.limit_val_batches=0", "callbacks.samples.length=0")
SECONDS_BETWEEN_LOOKS = 0.002
AS_AVX2 = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS")
ASKED = {"help": 1.0, "generate": 2.5, "first_step": 4.0}
"""Seconds, on a laptop with AVX2."""


def start(checkout: Path, folder: Path, *argv: str) -> subprocess.Popen[bytes]:
    """A script of a checkout, in `folder`."""
    environment = os.environ | {"PYTHONPATH": str(checkout / "src"), "XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.Popen(
        [sys.executable, str(checkout / argv[0]), *argv[1:]],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    if process.wait():
        raise RuntimeError(f"{process.args!r} has ended with status {process.returncode}")


def whole(argv: tuple[str, ...], checkout: Path, folder: Path) -> float:
    """Wall seconds of the whole process."""
    began = time.perf_counter()
    end(start(checkout, folder, *argv))
    return time.perf_counter() - began


def first_step(checkout: Path, folder: Path) -> float:
    """Wall seconds until a training run has taken a step: then, and not before, its directory has a summary."""
    with tempfile.TemporaryDirectory(dir=folder) as run:
        began = time.perf_counter()
        process = start(checkout, folder, "train.py", f"hydra.run.dir={run}/run", *ONE_STEP)
        while not (Path(run) / "run" / "summary.json").exists():
            if process.poll() is not None:
                raise RuntimeError(f"{process.args!r} has ended with status {process.returncode}, without a step")
            time.sleep(SECONDS_BETWEEN_LOOKS)
        seconds = time.perf_counter() - began
        end(process)
    return seconds


COMMANDS: dict[str, Callable[[Path, Path], float]] = {
    "help": partial(whole, ("train.py", "--help")),
    "generate": partial(whole, ("generate.py", "run=trained", "max_new_tokens=1")),
    "first_step": first_step,
}


def measure(before: Path, rounds: int) -> dict[str, Any]:
    """By command: seconds before and after, and the rounds' ratios of the two."""
    checkouts = {"before": before, "after": ROOT}
    seconds: dict[str, dict[str, list[float]]] = {name: {side: [] for side in checkouts} for name in COMMANDS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        end(start(before, folder, "train.py", "hydra.run.dir=trained", "trainer.max_steps=1"))
        for number in range(1 + rounds):
            for command, run in COMMANDS.items():
                for side, checkout in checkouts.items():
                    took = run(checkout, folder)
                    if number:
                        seconds[command][side].append(took)
    return {
        command: {
            **{f"{side}_seconds": spread(values) for side, values in sides.items()},
            "after_as_share_of_before": spread(
                [after / before for before, after in zip(sides["before"], sides["after"], strict=True)]
            ),
            "asked_seconds": ASKED[command],
        }
        for command, sides in seconds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="the checkout to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the figures there, as JSON")
    arguments = parser.parse_args()

    before = arguments.before.resolve()
    commit = subprocess.run(["git", "-C", str(before), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    commands = measure(before, arguments.rounds)
    for name, result in commands.items():
        told = "   ".join(
            f"{side} {result[f'{side}_seconds']['median']:6.3f} s"
            f" ({result[f'{side}_seconds']['lowest']}-{result[f'{side}_seconds']['highest']})"
            for side in ("before", "after")
        )
        print(f"{name:<12}{told}   ratio {result['after_as_share_of_before']['median']:.3f}")
    settings = {
        "rounds": arguments.rounds,
        "before": commit.stdout.strip(),
        "environment": {name: os.environ[name] for name in AS_AVX2 if name in os.environ},
    }
    save(record("startup", torch.device("cpu"), settings, {"commands": commands}), arguments.out)


if __name__ == "__main__":
    main()
