"""What POSIX alone has is taken away: a run then begins, learns, saves and writes all the same.

Nothing here has been run on Windows. Names that are asked for behind `sys.platform` are left to the type checker,
which .ci/run starts for each system.
"""

import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import psutil
import pytest
import yaml
from packaging.specifiers import SpecifierSet

from lstm_lm import process_group, renaming, stop_signals
from lstm_lm.cli.shell import run_in_shell
from lstm_lm.errors import Interrupted, RunError
from lstm_lm.runs import atomic, rotation
from lstm_lm.training.processes import join
from lstm_lm.training.processes.started import Started
from lstm_lm.training.signals import StopSignals

ROOT = Path(__file__).resolve().parents[1]

WITHOUT = """
import builtins, importlib, json, os, pkgutil, signal, sys, types

ON_WINDOWS = set(
    "SIGABRT SIGBREAK SIGFPE SIGILL SIGINT SIGSEGV SIGTERM SIG_DFL SIG_IGN CTRL_C_EVENT CTRL_BREAK_EVENT Handlers "
    "Signals default_int_handler getsignal raise_signal set_wakeup_fd signal strsignal valid_signals".split()
)
POSIX_ALONE = set(
    "O_DIRECTORY O_NOFOLLOW O_NONBLOCK WIFSIGNALED WTERMSIG chown fork forkpty getegid geteuid getgid getloadavg "
    "getpgid getpgrp getuid kill killpg lchown mkfifo nice openpty posix_spawn sched_getaffinity sched_setaffinity "
    "setpgid setsid statvfs sync sysconf uname wait wait3 wait4 waitid".split()
)


class Poorer(types.ModuleType):
    def __init__(self, real, has):
        super().__init__(real.__name__)
        self.__dict__.update({name: value for name, value in vars(real).items() if name.startswith("__") or has(name)})


POORER = {
    "signal": Poorer(signal, lambda name: name in ON_WINDOWS),
    "os": Poorer(os, lambda name: name not in POSIX_ALONE),
}
imported = builtins.__import__


def poorer_import(name, importer=None, *rest, **named):
    # for this project's modules alone: other packages know which system they are on
    if (importer or {}).get("__name__", "").startswith("lstm_lm"):
        if name in ("fcntl", "grp", "pwd", "termios"):
            raise ImportError(name)
        if name in POORER:
            return POORER[name]
    return imported(name, importer, *rest, **named)


builtins.__import__ = poorer_import

import lstm_lm

for module in pkgutil.walk_packages(lstm_lm.__path__, "lstm_lm."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)

config, run = json.loads(sys.argv[1]), sys.argv[2]
assert lstm_lm.train(config, run).status == "completed"
print(len(lstm_lm.generate(run, prompt="a", max_new_tokens=5)))
"""


def test_a_run_needs_nothing_that_posix_alone_has(small_config: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    config = small_config("trainer.max_steps=2", "trainer.max_epochs=-1")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, json.dumps(config), str(tmp_path / "run")],
        capture_output=True,
        text=True,
        env=os.environ | {"SLURM_JOB_ID": "1"},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 1
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()


def test_signals_that_a_system_lacks_are_not_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "SIGHUP", raising=False)
    monkeypatch.delattr(signal, "SIGUSR1", raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    assert stop_signals.closed_terminal() == ()
    assert stop_signals.warning_signal() is None


def test_windows_ctrl_break_ends_a_command_and_asks_a_run_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another signal stands in for it."""
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGABRT, raising=False)
    before = signal.signal(signal.SIGABRT, signal.SIG_IGN)
    try:
        assert run_in_shell(lambda: signal.raise_signal(signal.SIGABRT) or 0) == 128 + signal.SIGABRT
        with pytest.raises(Interrupted), StopSignals():
            signal.raise_signal(signal.SIGABRT)
        assert signal.getsignal(signal.SIGABRT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGABRT, before)


def test_a_process_apart_is_asked_to_end_by_ctrl_break_where_nothing_else_can_be_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child = Mock(spec=subprocess.Popen)
    monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", 1, raising=False)
    process_group.pass_on(child, signal.SIGTERM)
    child.send_signal.assert_called_once_with(1)


def test_without_process_groups_a_process_and_those_that_it_started_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "killpg")
    code = (
        "import subprocess, sys, time; sleeps = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
        "print(subprocess.Popen(sleeps).pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        started = psutil.Process(int(child.stdout.readline()))
        process_group.end_family(child)
    _, alive = psutil.wait_procs([started], timeout=20)
    assert not alive


class InUse(PermissionError):
    winerror = 32


def test_a_file_that_a_reader_has_open_is_replaced_once_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Windows has it: as long as `generate` reads last.ckpt, it cannot be replaced."""
    replace, refusals = os.replace, iter([InUse(13, "in use"), InUse(13, "in use")])

    def in_use_twice(path: Path, new: Path) -> None:
        if (refusal := next(refusals, None)) is not None:
            raise refusal
        replace(path, new)

    monkeypatch.setattr(os, "replace", in_use_twice)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    (tmp_path / "last.ckpt").write_bytes(b"old")
    atomic.write_bytes(tmp_path / "last.ckpt", b"new")
    assert (tmp_path / "last.ckpt").read_bytes() == b"new"


@pytest.mark.parametrize("folder", [False, True])
def test_what_a_reader_has_open_is_removed_once_it_is_closed(
    folder: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that is pushed out while it is read; a damaged store whose tokens are mapped into memory."""
    path = tmp_path / "read"
    if folder:
        path.mkdir()
        (path / "train.bin").write_bytes(b"ids")
    else:
        path.write_bytes(b"weights")
    unlink, refusals = os.unlink, iter([InUse(13, "in use"), InUse(13, "in use")])

    def in_use_twice(*args: Any, **how: Any) -> None:
        if (refusal := next(refusals, None)) is not None:
            raise refusal
        unlink(*args, **how)

    monkeypatch.setattr(os, "unlink", in_use_twice)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    renaming.remove(path)
    assert not path.exists()
    assert next(refusals, None) is None
    renaming.remove(path)  # what is not there is no error


def test_a_checkpoint_that_stays_open_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **how: Any) -> None:
        raise InUse(13, "in use")

    for name in ("last.ckpt", "last-1.ckpt"):
        (tmp_path / name).write_bytes(b"weights")
    monkeypatch.setattr(os, "unlink", refuse)
    monkeypatch.setattr(renaming, "SECONDS_TO_LET_GO", 0.0)
    with pytest.raises(InUse):
        rotation.make_room(tmp_path / "last.ckpt", keep=1)


@pytest.mark.parametrize("refusal", [PermissionError(13, "not yours"), InUse(13, "in use")])
def test_what_stays_refused_is_told(refusal: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, new: Path) -> None:
        raise refusal

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(renaming, "SECONDS_TO_LET_GO", 0.0)
    with pytest.raises(RunError, match="cannot be written"):
        atomic.write_bytes(tmp_path / "a", b"a")


def test_a_letter_that_windows_code_page_lacks_ends_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="cp1252"))
    assert run_in_shell(lambda: print("日 is a day")) is None
    assert written.getvalue().strip() == b"? is a day"


def test_a_pipe_that_nobody_reads_is_known_by_the_error_of_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = OSError(errno.EINVAL, "Invalid argument")
    with (tmp_path / "pipe").open("wb") as pipe:
        closed = Mock(**{"write.side_effect": gone, "flush.side_effect": gone, "fileno.return_value": pipe.fileno()})
        monkeypatch.setattr(sys, "stdout", closed)
        assert run_in_shell(lambda: print("text") or 0) == 141


def test_another_invalid_argument_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    assert run_in_shell(command) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("leader", [True, False])
def test_where_pytorch_has_no_libuv_the_store_is_told_so(leader: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Mock()
    monkeypatch.setattr("torch.distributed.TCPStore", store)
    monkeypatch.setattr(join, "LIBUV", False)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "1")
    join._open_store(Started(rank=0 if leader else 1, size=2, local_rank=0, own_devices=False))
    assert store.call_args.kwargs["use_libuv"] is False


def test_the_workflow_is_one_that_can_run() -> None:
    """It has not run anywhere yet: at least the form is what it must be."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert isinstance(workflow["name"], str)
    assert set(workflow[True]) == {"push", "pull_request"}, "to YAML 1.1 the key `on` is a boolean"
    assert workflow["jobs"]
    for job in workflow["jobs"].values():
        assert isinstance(job["runs-on"], str)
        matrix = job["strategy"]["matrix"]
        for axis in ("os", "python"):
            assert matrix[axis]
            assert all(isinstance(value, str) for value in matrix[axis]), "3.10 would be the number 3.1"
            assert f"${{{{ matrix.{axis} }}}}" in (job["runs-on"], *_given(job["steps"]))
        assert all(SpecifierSet(project["requires-python"]).contains(version) for version in matrix["python"])
        assert job["steps"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert isinstance(step.get("uses", step.get("run")), str)


def _given(steps: list[dict[str, Any]]) -> list[str]:
    """What actions are given."""
    return [value for step in steps for value in step.get("with", {}).values()]
