"""Running commands, in this process (fast) and in one of their own (where output and exit status are what counts)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_commands import TINY, Apart, Here, Said, StandIn, in_a_copy, in_a_new_process
from jobs_in_process import as_in_a_process
from omegaconf import OmegaConf
from tiers import first

from lstm_lm.cli.main import main
from lstm_lm.sweeps import fresh_process


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every test has its own current directory, caches included."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    yield folder
    for name in ("fresh_dir", "job_dir"):
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


@pytest.fixture(params=first([in_a_copy, in_a_new_process]), ids=lambda how: how.__name__)
def apart(request: pytest.FixtureRequest) -> Apart:
    """Runs a script in a process of its own, by default in a copy of this one."""
    how: Apart = request.param
    return how


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr("lstm_lm.training.train.train", stand_in)
    monkeypatch.setattr(fresh_process, "run", as_in_a_process)
    return stand_in


@pytest.fixture
def jobs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of a sweep train in this process."""
    monkeypatch.setattr(fresh_process, "run", as_in_a_process)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The overrides that name a short text and a cache."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "text.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 20, encoding="utf-8")
    return [f"data.path={folder / 'text.txt'}", f"data.cache_dir={folder / 'cache'}"]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, corpus: list[str]) -> Path:
    """The folder in which `train` has left a run."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", *TINY, *corpus]) == 0
    return folder
