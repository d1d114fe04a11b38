"""One process at a time trains in a directory."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lstm_lm.errors import UserError
from lstm_lm.runs.lock import only_one

HOLD = """
import sys
from pathlib import Path
from lstm_lm.runs.lock import only_one
with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="another process"), only_one(tmp_path / "run"):
            raise AssertionError("two at once")
        with only_one(tmp_path / "another run"):
            pass
        holder.kill()
        holder.wait()
    with only_one(tmp_path / "run"):
        pass


def test_one_that_only_asks_whether_it_is_held_refuses_nobody(tmp_path: Path) -> None:
    """`runs` may look at a directory at the very moment when a training begins there."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD.replace("sys.stdin.read()", "sys.stdin.readline()"), str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as asking:
        assert asking.stdin is not None
        assert asking.stdout is not None
        assert asking.stdout.readline() == "held\n"
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
