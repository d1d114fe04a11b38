"""One process at a time trains in a directory."""

import threading
from pathlib import Path

import pytest
from held import held

from lstm_lm.errors import UserError
from lstm_lm.runs.lock import is_held, only_one, refuse_where_held


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


def test_the_directory_is_left_alone(tmp_path: Path) -> None:
    with only_one(tmp_path / "run"):
        assert not (tmp_path / "run").exists()
