"""One process at a time trains in a directory."""

import threading
from pathlib import Path

import pytest
from held import held

from lstm_lm.errors import UserError
from lstm_lm.runs.lock import LOCK, hold_run, is_held, only_one, refuse_where_held


def test_another_process_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    with held(tmp_path / "run") as holder:
        with pytest.raises(UserError, match="another process"), only_one(tmp_path / "run"):
            raise AssertionError("two at once")
        with only_one(tmp_path / "another run"):
            pass
        holder.kill()
        holder.wait()
    with only_one(tmp_path / "run"):
        pass


@pytest.mark.posix
def test_it_is_said_which_process_holds_it(tmp_path: Path) -> None:
    with held(tmp_path / "run") as holder:
        with pytest.raises(UserError, match=rf"\b{holder.pid}\b.*\n.*hydra\.sweep\.dir"):
            refuse_where_held(tmp_path / "run", "hydra.sweep.dir")
        with pytest.raises(UserError, match=rf"\b{holder.pid}\b.*\n.*hydra\.run\.dir"), only_one(tmp_path / "run"):
            raise AssertionError("two at once")
    refuse_where_held(tmp_path / "run")
    assert not is_held(tmp_path / "run")


def test_one_that_only_asks_whether_it_is_held_refuses_nobody(tmp_path: Path) -> None:
    """`runs` may look at a directory at the very moment when a training begins there."""
    with held(tmp_path / "run") as asking:
        assert asking.stdin is not None
        lets_go = threading.Timer(0.1, lambda: (asking.stdin.write("\n"), asking.stdin.flush()))  # type: ignore[union-attr]
        lets_go.start()
        with only_one(tmp_path / "run"):
            pass
        lets_go.join()


def test_a_process_may_hold_it_twice(tmp_path: Path) -> None:
    with only_one(tmp_path / "run"), only_one(tmp_path / "run"):
        pass


def test_a_folder_that_was_made_for_it_goes_again_with_nothing_in_it(tmp_path: Path) -> None:
    with only_one(tmp_path / "runs" / "mine"):
        assert [path.name for path in (tmp_path / "runs" / "mine").iterdir()] == [LOCK]
    assert list(tmp_path.iterdir()) == []


def test_what_lies_there_stays_and_so_does_an_empty_folder_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with only_one(tmp_path / "there"), only_one(tmp_path / "made"):
        (tmp_path / "made" / "notes.txt").write_text("mine")
    assert list((tmp_path / "there").iterdir()) == []
    assert (tmp_path / "made" / "notes.txt").read_text() == "mine"


def test_who_does_not_get_it_takes_nothing_away(tmp_path: Path) -> None:
    with held(tmp_path / "run"):
        before = sorted((tmp_path / "run").iterdir())
        with pytest.raises(UserError), only_one(tmp_path / "run"):
            raise AssertionError("two at once")
        assert sorted((tmp_path / "run").iterdir()) == before


@pytest.mark.posix
def test_whatever_leads_there_is_the_same_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link to it, or another folder for temporary files."""
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    (tmp_path / "temporary").mkdir()
    with held(tmp_path / "run"):
        monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
        for path in (tmp_path / "run", tmp_path / "link", tmp_path / "temporary" / ".." / "run"):
            assert is_held(path)
            with pytest.raises(UserError, match="another process"), only_one(path):
                raise AssertionError("two at once")


def test_a_fresh_directory_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with hold_run(None) as one, hold_run(None) as two:
        assert one.path != two.path
        assert one.path.parent == two.path.parent == tmp_path / "outputs"
        (one.path / "notes.txt").write_text("mine")
    assert list(tmp_path.rglob("*.txt")) == [one.path / "notes.txt"]
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == [one.path.name]


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_a_name_that_no_directory_can_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"another folder: hydra\.run\.dir"), only_one(tmp_path / name):
        raise AssertionError("there is none")
