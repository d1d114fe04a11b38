"""What commands import before they do their work: modules are counted, not seconds, each in a fresh process."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from lstm_lm.cli.main import main

ROOT = Path(__file__).resolve().parents[1]

UNTIL = """
import atexit, gc, os, sys

report, first, end = sys.argv[1:4]
if first:
    __import__(first)

def tell():
    with open(report, "w", encoding="utf-8") as file:
        print(gc.get_freeze_count(), *sys.modules, sep="\\n", file=file)

def look(event, arguments):
    if end and event == "os.rename" and str(arguments[1]).endswith(end):
        tell()
        os._exit(0)

atexit.register(tell)
sys.addaudithook(look)

from lstm_lm.cli.main import main

sys.exit(main(sys.argv[4:]))
"""
"""Runs a command; writes down what is imported at its end, or as soon as a file whose path ends in `end` is written."""

TINY = [
    *("device=cpu", "precision=32-true", "data=text", "data.batch_size=2", "data.seq_len=8", "data.eval_batch_size=2"),
    *("data.path=text.txt", "model.hidden_size=8", "model.embedding_size=4", "trainer.max_steps=1"),
]

TRAINS = {"lightning", "torchmetrics", "tensorboard", "matplotlib", "sympy", "torch._dynamo", "lstm_lm.training"}
COMPUTES = {"torch", "numpy", "lstm_lm.models", "lstm_lm.forward", "lstm_lm.data"}
FOR_OTHERS = {
    *("tensorflow", "IPython", "joblib", "submitit", "pooch", "tokenizers", "torch._inductor.compile_fx"),
    *("lstm_lm.embedding", "lstm_lm.reports", "lstm_lm.sweeps.runner", "lstm_lm.training.tuning.trial"),
}
"""What runs with other options need: sweeps, tuning, torch.compile, a corpus that is downloaded, subwords."""


class Started(NamedTuple):
    """What a command has done before its work."""

    modules: set[str]
    frozen: int
    """Objects that the garbage collector does not look at any more."""

    def check(self, most: int, without: set[str]) -> None:
        """Hold the modules, at most so many, against those that are in vain, with all that is in there."""
        assert not {name for name in self.modules for other in without if f"{name}.".startswith(f"{other}.")}
        assert len(self.modules) <= most


def start(folder: Path, *argv: str, first: str = "", end: str = "") -> Started:
    """`lstm-lm ARGV` in `folder`, after the import of `first`, until it ends, or until a file `end` is written."""
    report = folder / "modules.txt"
    report.unlink(missing_ok=True)
    subprocess.run(
        [sys.executable, "-c", UNTIL, str(report), first, end, *argv],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "XDG_CACHE_HOME": str(folder / "cache")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=300,
        check=True,
    )
    frozen, *modules = report.read_text(encoding="utf-8").splitlines()
    return Started(set(modules), int(frozen))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text, and a run below outputs/."""
    folder = tmp_path_factory.mktemp("startup")
    (folder / "text.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 20, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        assert main(["train", *TINY]) == 0
    return folder


@pytest.mark.parametrize("verb", ["train", "generate"])
def test_help_imports_little(verb: str, tmp_path: Path) -> None:
    start(tmp_path, verb, "--help").check(280, TRAINS | COMPUTES | FOR_OTHERS | {"hydra", "pydantic", "rich"})


def test_runs_computes_nothing(trained: Path) -> None:
    start(trained, "runs").check(600, TRAINS | COMPUTES | FOR_OTHERS - {"lstm_lm.reports"})


def test_generate_does_without_what_trains(trained: Path) -> None:
    started = start(trained, "generate", "device=cpu", "max_new_tokens=1")
    started.check(1600, TRAINS | FOR_OTHERS | {"rich"})
    assert started.frozen > 100_000


def test_a_run_imports_up_to_its_first_step_what_it_needs(trained: Path) -> None:
    started = start(trained, "train", *TINY, end="summary.json")
    started.check(3600, FOR_OTHERS)
    assert started.frozen > 300_000
    assert "lstm_lm.training.module" in started.modules  # else it has ended before


def test_one_import_too_many_is_seen(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="numpy"):
        start(tmp_path, "train", "--help", first="numpy").check(10_000, COMPUTES)
    with pytest.raises(AssertionError, match="<= 280"):
        start(tmp_path, "train", "--help", first="asyncio").check(280, COMPUTES)
