"""Running commands, in this process (fast) and in one of their own (where output and exit status are what counts)."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from omegaconf import OmegaConf

from lstm_lm.cli.main import main

ROOT = Path(__file__).resolve().parents[2]

TINY = [
    "device=cpu",
    "precision=32-true",
    "data=text",
    "data.batch_size=2",
    "data.seq_len=8",
    "data.eval_batch_size=2",
    "model.hidden_size=8",
    "model.embedding_size=4",
    "trainer.max_steps=3",
    "callbacks.samples.length=5",
]
"""A run of a second; needs data.path and data.cache_dir."""


class Said(NamedTuple):
    """What a command left."""

    status: int
    out: str
    err: str

    def refused(self, status: int = 2) -> str:
        """Its message, after checking what every refusal must be: a status, at most four lines, no traceback."""
        assert self.status == status, self
        assert 1 <= len(self.err.splitlines()) <= 4, self.err
        assert "Traceback" not in self.err
        return self.err


Here = Callable[..., Said]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every test has its own current directory, caches included."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("XDG_CACHE_HOME", "LSTM_LM_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    yield folder
    for name in ("fresh_dir", "job_dir", "program", "option_table"):
        OmegaConf.clear_resolver(name)


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str]) -> Here:
    """`here("train", "seed=2")`: the command, in this process."""

    def run(*argv: str) -> Said:
        capfd.readouterr()
        status = main(argv)
        out, err = capfd.readouterr()
        return Said(status, out, err)

    return run


def apart(script: str, *argv: str, cwd: Path, text: str | None = None, **environment: str) -> Said:
    """A script of the checkout, in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(ROOT / script), *argv],
        cwd=cwd,
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")} | environment,
    )
    return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The overrides that name a short text and a cache."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "text.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 20, encoding="utf-8")
    return [f"data.path={folder / 'text.txt'}", f"data.cache_dir={folder / 'cache'}"]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, corpus: list[str]) -> Path:
    """The folder in which `python train.py` has left a run."""
    folder = tmp_path_factory.mktemp("trained")
    said = apart("train.py", *TINY, *corpus, cwd=folder)
    assert said.status == 0, said.err
    return folder
