"""What a process of a run leaves for the one that has launched it, and what that one makes of it."""

from pathlib import Path

import pytest

from lstm_lm.errors import Interrupted, RunError, Unavailable, UserError
from lstm_lm.runs.summary import Summary
from lstm_lm.training.processes.join import Lost
from lstm_lm.training.processes.launch import reason_of
from lstm_lm.training.processes.worker import TracebackOfWorker, leave, left

FAILED = 1
BY_SIGKILL = -9
BY_SIGTERM = -15


class Own(Exception):
    """One that pickles, and cannot be made again from what it pickles."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize("error", [UserError("a"), RunError("b"), Unavailable("c"), KeyError("d"), OSError(28, "full")])
def test_an_error_comes_back_as_it_was(error: Exception, tmp_path: Path) -> None:
    leave(error, tmp_path / "0")
    back = left(tmp_path / "0")
    assert (type(back), str(back)) == (type(error), str(error))
    assert getattr(back, "errno", None) == getattr(error, "errno", None)


def test_an_error_has_its_traceback_with_it(tmp_path: Path) -> None:
    try:
        raise Own(1, 2)
    except Own as error:
        leave(error, tmp_path / "0")
    back = left(tmp_path / "0")
    assert isinstance(back, RuntimeError)
    assert str(back) == "Own: 1 and 2"
    assert isinstance(back.__cause__, TracebackOfWorker)
    assert "raise Own(1, 2)" in str(back.__cause__)


def test_a_signal_comes_back(tmp_path: Path) -> None:
    leave(Interrupted(15), tmp_path / "0")
    back = left(tmp_path / "0")
    assert isinstance(back, Interrupted)
    assert back.exit_status == 143


def test_a_summary_comes_back(tmp_path: Path) -> None:
    summary = Summary.begin("python train.py", 3)
    leave(summary, tmp_path / "0")
    assert left(tmp_path / "0") == summary


def test_one_that_was_killed_has_left_nothing(tmp_path: Path) -> None:
    assert left(tmp_path / "0") is None
    leave(UserError("a"), tmp_path / "0")
    (tmp_path / "0").write_bytes((tmp_path / "0").read_bytes()[:-5])
    assert left(tmp_path / "0") is None


def test_an_own_error_counts_before_those_who_miss_that_process(tmp_path: Path) -> None:
    leave(Lost("a process of 2 has ended"), tmp_path / "0")
    leave(UserError("process 1: no such file"), tmp_path / "1")
    assert str(reason_of([(0, FAILED), (1, FAILED)], tmp_path, 2)) == "process 1: no such file"


def test_a_killed_process_is_named(tmp_path: Path) -> None:
    leave(Lost("a process of 2 has ended"), tmp_path / "0")
    reason = reason_of([(0, FAILED), (1, BY_SIGKILL)], tmp_path, 2)
    assert isinstance(reason, RunError)
    assert str(reason).startswith("process 1 of 2, counted from 0, was ended by signal 9\n")


def test_those_that_the_launcher_ended_after_another_are_not_the_reason(tmp_path: Path) -> None:
    leave(UserError("no text"), tmp_path / "0")
    assert str(reason_of([(0, FAILED), (1, BY_SIGTERM)], tmp_path, 2)) == "no text"
    leave(Interrupted(15), tmp_path / "0")
    assert "process 1 of 2" in str(reason_of([(1, BY_SIGKILL), (0, 143)], tmp_path, 2))


def test_where_all_miss_another_that_is_what_is_said(tmp_path: Path) -> None:
    for rank in range(2):
        leave(Lost(f"{rank} misses another"), tmp_path / str(rank))
    assert str(reason_of([(0, FAILED), (1, FAILED)], tmp_path, 2)) == "0 misses another"
