"""One command in a process of its own: how it ended."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from lstm_lm.sweeps import fresh_process
from lstm_lm.sweeps.fresh_process import Ended, run
from lstm_lm.sweeps.stopping import StopRequest


def ended(tmp_path: Path, code: str, monkeypatch: pytest.MonkeyPatch, timeout: float = 60.0) -> Ended:
    """`code` in the place of this project's command line."""
    (tmp_path / "lstm_lm.py").write_text(code)
    monkeypatch.setattr(fresh_process, "_environment", lambda file: {"PYTHONPATH": str(tmp_path), "TOLD": str(file)})
    with StopRequest() as stop:
        return run(["train"], tmp_path / "log", timeout, stop)


TELL = "import json, os, sys; open(os.environ['TOLD'], 'w').write(json.dumps({}))\nsys.exit(2)"


@pytest.mark.parametrize(
    ("code", "how", "reason"),
    [
        ("print('fine')", "done", None),
        (TELL.format({"unavailable": True, "text": "no GPU", "traceback": None}), "unavailable", "no GPU"),
        (TELL.format({"unavailable": False, "text": "wrong", "traceback": None}), "failed", "wrong"),
        ("raise SystemExit(3)", "failed", "ended with status 3"),
        ("import os; print('a'); os.kill(os.getpid(), 9)", "failed", "ended by SIGKILL (out of memory?)"),
        ("print('1\\n2\\n\\n3\\n4\\n5'); raise SystemExit(1)", "failed", "2\n3\n4\n5"),
    ],
)
def test_how_it_ended_and_why(
    code: str, how: str, reason: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ended(tmp_path, code, monkeypatch)
    assert (found.how, found.reason) == (how, reason)


def test_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ended(tmp_path, "import time; time.sleep(60)", monkeypatch, timeout=0.5)
    assert (found.how, found.reason) == ("failed", "ended after 0 s: study.timeout_minutes")
    assert found.seconds < 30


@pytest.mark.posix
def test_a_process_that_is_asked_to_end_has_time_to_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved, ready = tmp_path / "saved", tmp_path / "ready"
    code = (
        "import os, pathlib, signal, sys, time\n"
        f"def end(*_): time.sleep(0.5); pathlib.Path({str(saved)!r}).touch(); sys.exit(130)\n"
        f"signal.signal(signal.SIGINT, end); pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"
    )
    monkeypatch.setattr(fresh_process, "SECONDS_BETWEEN_LOOKS", 0.05)

    def interrupt() -> None:
        while not ready.exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    sender.start()
    found = ended(tmp_path, code, monkeypatch)
    sender.join()
    assert found.how == "interrupted"
    assert saved.exists()


def test_this_projects_own_errors_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with StopRequest() as stop:
        wrong = run(["train", "seed=-1", "hydra.run.dir=x"], tmp_path / "log", 60, stop)
        missing = run(["nothing"], tmp_path / "log", 60, stop)
    assert (wrong.how, wrong.reason) == ("failed", "seed=-1: must be greater than or equal to 0")
    assert missing.how == "failed"
    assert missing.reason is not None
    assert "no such command" in missing.reason


@pytest.mark.parametrize(("watched", "kept"), [(True, ["first", "second"]), (False, ["second"])])
def test_a_watched_process_writes_behind_what_its_log_holds(
    watched: bool, kept: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that nobody watches begins it anew: its last lines are why it failed."""
    monkeypatch.setattr(fresh_process, "_environment", lambda _: {"PYTHONPATH": str(tmp_path)})
    for said in ("first", "second"):
        (tmp_path / "lstm_lm.py").write_text(f"print({said!r})")
        with StopRequest() as stop:
            run(["train"], tmp_path / "log", 60, stop, watched=watched)
    assert (tmp_path / "log").read_text().split() == kept


def test_who_looks_on_sees_what_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lstm_lm.py").write_text(
        "import os, sys; print('all'); print(os.environ['LSTM_LM_LOGGED'], file=sys.stderr)"
    )
    monkeypatch.setattr(fresh_process, "_environment", lambda _: {"PYTHONPATH": str(tmp_path)})
    with StopRequest() as stop:
        run(["train"], tmp_path / "log", 60, stop, watched=True)
    assert (tmp_path / "log").read_text() == "all\n"
    assert capfd.readouterr() == ("", "1\n")
