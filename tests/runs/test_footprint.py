"""What a refused run made goes again; what was there stays, whatever it is."""

from pathlib import Path

import pytest

from lstm_lm.errors import UserError
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.footprint import Footprint


def contents(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def begin(run: RunDirectory) -> None:
    """Write all that a run writes before its first step."""
    run.create()
    run.config.parent.mkdir(exist_ok=True)
    for name in ("config.yaml", "hydra.yaml", "overrides.yaml"):
        (run.config.parent / name).write_text("new")
    run.summary.write_text("running")
    run.metrics.write_text("")
    (run.tensorboard / "events.out.tfevents.2").write_text("new")


def test_a_new_directory_goes_with_the_folders_that_were_made_for_it(tmp_path: Path) -> None:
    footprint = Footprint(RunDirectory(tmp_path / "outputs" / "today"))
    begin(footprint.run)
    assert not footprint.untouched()
    footprint.erase()
    assert list(tmp_path.iterdir()) == []


def test_a_claimed_directory_goes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    footprint = Footprint.claimed(Path("outputs/today"))
    second = Footprint.claimed(Path("outputs/today"))
    begin(footprint.run)
    second.erase()
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["today"]
    footprint.erase()
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_was_there_is_as_it_was(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    begin(run)
    run.last.write_text("trained")
    run.summary.write_text("completed")
    run.metrics.write_text("step\n1\n")
    before = contents(tmp_path)
    footprint = Footprint(run)
    assert footprint.untouched()
    begin(run)
    (run.tensorboard / "events.out.tfevents.3").write_text("new")
    (run.tensorboard / "events.out.tfevents.2").write_text("new")
    footprint.erase()
    assert contents(tmp_path) == before
    assert footprint.untouched()


def test_what_another_has_put_there_stays(tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    footprint = Footprint(RunDirectory(tmp_path / "outputs" / "today"))
    begin(footprint.run)
    (footprint.run.path / "notes.txt").write_text("mine")
    (footprint.run.checkpoints / "other.ckpt").write_text("another's")
    footprint.erase()
    left = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    assert left == ["outputs/today/checkpoints/other.ckpt", "outputs/today/notes.txt"]


def test_an_empty_folder_that_was_there_stays(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.path.mkdir()
    footprint = Footprint(run)
    begin(run)
    footprint.erase()
    assert list(tmp_path.rglob("*")) == [run.path]


def test_a_new_checkpoint_is_a_run_that_began(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.create()
    footprint = Footprint(run)
    run.last.write_text("trained")
    assert not footprint.untouched()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDirectory(tmp_path / "run")
    run.create()
    run.summary.write_text("{}")

    def refuse(path: Path, most: int) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("lstm_lm.runs.footprint.read_regular", refuse)
    with pytest.raises(UserError, match=r"summary\.json: cannot be read: Permission denied"):
        Footprint(run)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_a_name_that_no_directory_can_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose another folder"):
        Footprint(RunDirectory(tmp_path / name))
