"""A row that trains is left alone by whoever did not start it."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from held import held
from test_results import planned, there

from lstm_lm.errors import UserError
from lstm_lm.sweeps import fresh_process
from lstm_lm.sweeps.fresh_process import Ended
from lstm_lm.sweeps.schedule import Turn
from lstm_lm.sweeps.stopping import StopRequest
from lstm_lm.sweeps.study import Study


class Silent:
    """Shows nothing."""

    def begin(self, *_: object) -> None: ...

    def end(self, *_: object) -> None: ...


def study_with_an_unfinished_row(folder: Path) -> tuple[Study, Turn, Path]:
    """A study whose last turn was begun, and a file of that."""
    study = there(folder, planned().rows, repetitions=1)
    turn = study.turns()[-1]
    path = study.run_directory(turn).path / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a state")
    return study, turn, path


def test_no_row_is_begun_while_one_of_them_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, turn, path = study_with_an_unfinished_row(tmp_path)
    monkeypatch.setattr(fresh_process, "run", lambda *_: pytest.fail("beside it, that would be timed wrongly"))
    with (
        held(study.run_directory(turn).path) as trains,
        StopRequest() as stop,
        pytest.raises(UserError, match=rf"{path.parents[1].name}: .*\b{trains.pid}\b.*\n.*hydra\.sweep\.dir"),
    ):
        study.run(stop, Silent())
    assert path.read_bytes() == b"a state"


def test_a_row_that_begins_to_train_meanwhile_is_not_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, turn, path = study_with_an_unfinished_row(tmp_path)
    monkeypatch.setattr("lstm_lm.sweeps.study.refuse_where_held", lambda *_: None)
    monkeypatch.setattr(fresh_process, "run", lambda *_: Ended("failed", "because", 1.0))
    with held(study.run_directory(turn).path), StopRequest() as stop, pytest.raises(UserError, match="another process"):
        study.run(stop, Silent())
    assert path.read_bytes() == b"a state"


def test_the_summary_of_a_row_that_another_trains_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That one was faster than this study's own process, which was refused."""
    study, turn, _ = study_with_an_unfinished_row(tmp_path)
    run = study.run_directory(turn)
    with ExitStack() as others:

        def refused(*_: object) -> Ended:
            others.enter_context(held(run.path))
            return Ended("failed", "another process is training there", 1.0)

        monkeypatch.setattr(fresh_process, "run", refused)
        monkeypatch.setattr(Study, "turns", lambda _: [turn])
        with StopRequest() as stop:
            study.run(stop, Silent())
        assert not run.summary.exists()
