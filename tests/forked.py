"""A copy of this process that trains, so that what it meets there (SIGKILL, a closed terminal) is real and yet cheap.

A new interpreter needs seconds to import what this one has imported already. Linux only: elsewhere, libraries do not
survive a fork.
"""

import contextlib
import json
import os
import runpy
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.optim.optimizer import register_optimizer_step_post_hook

ROOT = Path(__file__).resolve().parents[1]
THERE = sys.platform.startswith("linux")
"""Whether processes can be copied here."""
SECONDS = 120
"""After which a process hangs."""

Action = Callable[[], object]


@dataclass
class Child:
    """A process that was forked."""

    pid: int
    output: Path | None
    """What it prints, both streams."""

    def wait(self) -> int:
        """Its exit status; minus the signal's number, where a signal ended it."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError(f"it hangs; it said:\n{self.said}")

    @property
    def said(self) -> str:
        return "" if self.output is None else self.output.read_text(encoding="utf-8", errors="replace")


def start(
    action: Action, output: Path | None = None, descriptor: int | None = None, errors: Path | None = None
) -> Child:
    """Call `action` in a copy of this process.

    It prints to the file `output` or to `descriptor`, and what it prints to standard error to `errors`, where given.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside other threads
        pid = os.fork()
    if pid:
        return Child(pid, output)
    status = 70
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        target = descriptor if output is None else _opened(output)
        assert target is not None
        for number, name, printed in ((1, "stdout", target), (2, "stderr", _opened(errors) if errors else target)):
            os.dup2(printed, number)
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115
        action()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        with contextlib.suppress(OSError):
            traceback.print_exc()
        status = 1
    finally:
        try:  # as the interpreter's end does
            sys.stdout.flush()
        except (OSError, ValueError):
            status = status or 120
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(status)
    raise AssertionError


def _opened(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)


def run(action: Action, output: Path) -> Child:
    """The same, and wait for its success."""
    child = start(action, output)
    assert child.wait() == 0, child.said[-3000:]
    return child


def command(*argv: str, script: str = "train.py") -> Action:
    """`python SCRIPT` with these, as somebody types it."""

    def typed() -> None:
        sys.argv = [str(ROOT / script), *argv]
        runpy.run_path(sys.argv[0], run_name="__main__")

    return typed


def at_step(step: int, happens: Action) -> None:
    """Have it happen at the end of the process's optimizer step number `step`, counted from 1."""
    steps = 0

    def count(*_: Any) -> None:
        nonlocal steps
        steps += 1
        if steps == step:
            happens()

    register_optimizer_step_post_hook(count)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def watch_files(folder: Path, happens: Callable[[str, str], None]) -> None:
    """Call `happens` before each operation of this process on a file below `folder`, with its kind and the file.

    Kinds are "read", "write" (a file is opened for it), "fsync", "rename" (with the new name), and others of `os`.
    """
    inside = False

    def report(kind: str, path: object) -> None:
        nonlocal inside
        if inside or not isinstance(path, (str, bytes, os.PathLike)):
            return
        name = os.path.realpath(os.fsdecode(path))
        if name.startswith(f"{os.path.realpath(folder)}{os.sep}"):
            inside = True
            try:
                happens(kind, os.path.relpath(name, os.path.realpath(folder)))
            finally:
                inside = False

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            flags = arguments[2] or 0
            report("write" if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) else "read", arguments[0])
        elif event in ("os.rename", "os.link"):
            report(event.removeprefix("os."), arguments[1])
        elif event in ("os.remove", "os.mkdir", "os.rmdir", "os.truncate"):
            report(event.removeprefix("os."), arguments[0])

    synced = os.fsync

    def fsync(descriptor: Any) -> None:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        report("fsync", f"/proc/self/fd/{number}")
        synced(descriptor)

    sys.addaudithook(heard)
    os.fsync = fsync


def log_to(path: Path) -> Callable[..., None]:
    """Writes one line of JSON a call, which survives whatever becomes of the process."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    return lambda *what: void(os.write(descriptor, (json.dumps(what) + "\n").encode()))


def void(_: object) -> None:
    return None


def logged(path: Path) -> list[list[Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file below `folder`, by its name there; None: a folder."""
    return {
        path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }
