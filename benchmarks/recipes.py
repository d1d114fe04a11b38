"""Runs a recipe as its page tells to, and keeps the summary that it leaves.

    python benchmarks/recipes.py NAME [--seeds 1 2 3] [--dynamic] [--text FOLDER] [KEY=VALUE ...]

Each seed is a fresh process, `python train.py experiment=NAME seed=SEED KEY=VALUE ...`; what it leaves is kept as
`benchmarks/results/recipes/NAME-SEED.json`: the run's `summary.json`, with the wall time of the whole process, the
machine and the day. With `--dynamic`, `python -m lstm_lm evaluate method=dynamic` follows; its section is kept too.
The corpus comes from the cache, where `python train.py data=tinyshakespeare` puts it once; or `--text` is a folder that
is copied to where the process runs, so that `data.path=NAME` finds it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from figures import record, save

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "benchmarks" / "results" / "recipes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="an option of experiment=")
    parser.add_argument("overrides", nargs="*", help="further KEY=VALUE, part of what is kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--dynamic", action="store_true", help="and dynamic evaluation")
    parser.add_argument("--text", type=Path, help="a folder to copy to where the process runs")
    parser.add_argument("--out", type=Path, default=KEPT, help="the folder to keep the summaries in")
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        kept = once(arguments.name, seed, arguments.overrides, dynamic=arguments.dynamic, text=arguments.text)
        save(kept, arguments.out / f"{arguments.name}-{seed}.json")
        val = kept["summary"]["val"]
        print(f"{arguments.name} seed {seed}: {kept['whole_process_seconds']:.1f} s, val loss {val['loss']:.4f}")


def once(name: str, seed: int, overrides: list[str], *, dynamic: bool, text: Path | None) -> dict[str, Any]:
    """Train it in a folder that goes away; gives what is kept."""
    with tempfile.TemporaryDirectory() as folder:
        if text is not None:
            shutil.copytree(text, Path(folder) / text.name)
        typed = [f"experiment={name}", f"seed={seed}", *overrides]
        began = time.perf_counter()
        _python(folder, str(ROOT / "train.py"), *typed, "hydra.run.dir=run")
        seconds = time.perf_counter() - began
        run = Path(folder) / "run"
        kept: dict[str, Any] = {"whole_process_seconds": round(seconds, 1), "summary": _read(run / "summary.json")}
        kept["summary"]["command"] = f"python train.py {' '.join(typed)}"
        if dynamic:
            began = time.perf_counter()
            _python(folder, "-m", "lstm_lm", "evaluate", "run=run", "method=dynamic")
            section = _read(run / "evaluation.json")["dynamic"]
            section["command"] = "python -m lstm_lm evaluate method=dynamic"
            kept |= {"dynamic_seconds": round(time.perf_counter() - began, 1), "dynamic": section}
    settings = {"experiment": name, "seed": seed, "overrides": overrides}
    return record("recipes", torch.device("cpu"), settings, kept)


def _python(folder: str, *arguments: str) -> None:
    paths = os.pathsep.join(filter(None, (str(ROOT / "src"), os.environ.get("PYTHONPATH"))))
    subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    main()
