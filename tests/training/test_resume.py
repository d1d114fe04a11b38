"""Whether a run may begin in a directory; the continuing itself is tested in `test_train.py`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.training import resume

Config = Callable[..., dict[str, Any]]


def contents(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def two_runs(small_config: Config, tmp_path: Path) -> tuple[Path, Path]:
    """Two finished runs of the same settings."""
    for name in ("one", "two"):
        lstm_lm.train(small_config("trainer.max_steps=1"), tmp_path / name)
    return tmp_path / "one", tmp_path / "two"


@pytest.mark.parametrize("how", ["never", "auto", "force"])
def test_a_checkpoint_from_elsewhere_never_begins_over_a_run(
    how: str, two_runs: tuple[Path, Path], small_config: Config
) -> None:
    one, two = two_runs
    before = contents(two)
    config = small_config("trainer.max_steps=3", f"resume={how}") | {"ckpt_path": str(one / "checkpoints/last.ckpt")}
    with pytest.raises(UserError, match="two: holds a run already, and ckpt_path=") as caught:
        lstm_lm.train(config, two)
    assert len(str(caught.value).splitlines()) <= 4
    assert contents(two) == before


def test_a_checkpoint_of_the_run_itself_continues_it(
    two_runs: tuple[Path, Path], small_config: Config, tmp_path: Path
) -> None:
    one, _ = two_runs
    config = small_config("trainer.max_steps=3") | {"ckpt_path": str(one / "checkpoints" / "last.ckpt")}
    assert resume.plan(config, one).checkpoint == one / "checkpoints" / "last.ckpt"
    moved = tmp_path / "a larger disk"
    (one / "checkpoints").rename(moved)
    (one / "checkpoints").symlink_to(moved)
    for named in ("last", str(one / "checkpoints" / "last.ckpt"), str(moved / "last.ckpt")):
        assert resume.plan(config | {"ckpt_path": named}, one).checkpoint is not None


def test_a_checkpoint_and_weights_to_start_from_exclude_each_other(small_config: Config, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ckpt_path=last and init_from=x exclude each other"):
        lstm_lm.train(small_config("ckpt_path=last", "init_from=x"), tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"accelerator": "gpu"}, "finds no GPU"),
        ({"precision": "16-mixed"}, "bf16-mixed"),
        ({"devices": [0]}, "how many processes"),
    ],
)
def test_hardware_that_is_not_there_is_refused_early(
    changes: dict[str, Any], told: str, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    config = small_config()
    config["trainer"] |= changes
    with pytest.raises(UserError, match=told):
        resume.refuse_early(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_complete_run_needs_no_hardware(
    two_runs: tuple[Path, Path], small_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    config = small_config("trainer.max_steps=1", "resume=auto")
    config["trainer"]["accelerator"] = "gpu"
    resume.refuse_early(config, two_runs[0])
