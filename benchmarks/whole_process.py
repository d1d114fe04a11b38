"""What a newcomer waits for, start to last line, in a fresh process with an empty cache; and what is learnt by then.

    python benchmarks/whole_process.py --shakespeare FILE [--rounds 3] [--out FILE.json]

Runs `python train.py`, and `python train.py data=tinyshakespeare data.path=FILE experiment=shakespeare_quick`, in turn.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from figures import record, save, spread

ROOT = Path(__file__).resolve().parents[1]


def once(overrides: list[str]) -> tuple[float, dict[str, Any]]:
    """Wall seconds of the whole process, and the summary that it leaves."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"XDG_CACHE_HOME": str(Path(folder) / "cache")}
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, str(ROOT / "train.py"), *overrides],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        seconds = time.perf_counter() - began
        (summary,) = Path(folder).glob("outputs/*/summary.json")
        return seconds, json.loads(summary.read_text(encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shakespeare", type=Path, required=True, help="a local copy of tiny Shakespeare")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the figures there, as JSON")
    arguments = parser.parse_args()

    shakespeare = [f"data.path={arguments.shakespeare.resolve()}"]
    contenders = {
        "default": [],
        "shakespeare_quick": ["data=tinyshakespeare", *shakespeare, "experiment=shakespeare_quick"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    summaries: dict[str, dict[str, Any]] = {}
    for _ in range(arguments.rounds):
        for name, overrides in contenders.items():
            took, summaries[name] = once(overrides)
            seconds[name].append(took)
    results = {
        name: {
            "whole_process_seconds": spread(seconds[name], 1),
            "val": summaries[name]["val"],
            "model": summaries[name]["model"],
            "train": summaries[name]["train"],
            "runtime": summaries[name]["runtime"],
        }
        for name in contenders
    }
    for name, result in results.items():
        wall, val = result["whole_process_seconds"], result["val"]
        print(f"{name:<20}{wall['median']:>7.1f} s ({wall['lowest']}-{wall['highest']})   val loss {val['loss']:.4f}")
    settings = {"rounds": arguments.rounds}
    save(record("whole_process", torch.device("cpu"), settings, {"runs": results}), arguments.out)


if __name__ == "__main__":
    main()
