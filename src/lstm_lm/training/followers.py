"""The leader's side of the other processes: it starts them, lets them in, and leaves none behind."""

import contextlib
import json
import os
import subprocess
import sys
import time
from types import TracebackType
from typing import Any, Self

import torch

from lstm_lm.errors import RunError
from lstm_lm.process_group import OWN_GROUP, end_family
from lstm_lm.training.distributed import Team, meeting_place

READY = b"ready\n"
SECONDS_TO_FINISH = 60.0
SECONDS_TO_BE_SEEN = 1.5
"""A process that has died tells the others by its connections, a moment before its status can be read."""
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from lstm_lm.training.follower import main; main()"
_THREADS = "OMP_NUM_THREADS"


class Followers:
    """Processes 1, 2, ... of a team; as a context, for the length of a run.

    A follower is a fresh interpreter that is told over its standard input what to train, and ends when that closes:
    so none outlives a leader that was killed. In a session of their own, they don't get the terminal's Ctrl-C: when to
    stop is the leader's decision.
    """

    def __init__(self, team: Team, threads: int | None) -> None:
        """`threads`: those of each process, where the user chose; None: they share the cores."""
        self._team = team
        self._threads = threads
        self._threads_before = os.environ.get(_THREADS)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._store: Any = None

    def __enter__(self) -> Self:
        """Start them; they import and wait."""
        if self._team.size > 1:
            chosen = self._threads is not None or self._threads_before is not None
            threads = torch.get_num_threads() if chosen else max(1, torch.get_num_threads() // self._team.size)
            torch.set_num_threads(threads)
            os.environ[_THREADS] = str(threads)  # else Lightning would set it, over what was chosen
            for _ in range(1, self._team.size):
                self._processes.append(
                    subprocess.Popen(
                        [sys.executable, "-c", _START, json.dumps(sys.path)],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        start_new_session=True,
                        creationflags=OWN_GROUP,
                    )
                )
        return self

    def join(self, task: dict[str, Any], device: torch.device) -> None:
        """Have them train `task` (what `follower.follow` takes, as plain data), and connect; `device` is the leader's.

        Raises:
            RunError: one of them has failed, and has said why.
        """
        if self._team.size == 1:
            return
        self._store = meeting_place(self._team, None)
        for rank, process in enumerate(self._processes, 1):
            order = {**task, "rank": rank, "size": self._team.size, "port": self._store.port}
            assert process.stdin is not None
            with contextlib.suppress(OSError):  # it has ended: the next lines tell
                process.stdin.write(json.dumps(order).encode() + b"\n")
                process.stdin.flush()
        for process in self._processes:
            assert process.stdout is not None
            while (line := process.stdout.readline()) != READY:
                if not line:
                    process.wait()
                    self._refuse_the_lost(None)
                    raise RunError("a process ended before training began")
        self._team.connect(self._store, device)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let them finish, or, where the run has failed, end them.

        Raises:
            RunError: the run failed because one of them did.
        """
        try:
            if error is None:
                for process in self._processes:
                    with contextlib.suppress(subprocess.TimeoutExpired):  # its part is done: ended below
                        process.wait(SECONDS_TO_FINISH)
                self._refuse_the_lost(None)
            elif isinstance(error, RuntimeError) and self._processes:
                deadline = time.monotonic() + SECONDS_TO_BE_SEEN
                while time.monotonic() < deadline and not self._lost():
                    time.sleep(0.05)
                self._refuse_the_lost(error)
        finally:
            self._end()

    def _lost(self) -> list[tuple[int, int]]:
        """(rank, exit status) of those that have failed."""
        return [(rank, process.returncode) for rank, process in enumerate(self._processes, 1) if process.poll()]

    def _refuse_the_lost(self, cause: BaseException | None) -> None:
        for rank, status in self._lost():
            how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}; it says why above"
            raise RunError(
                f"process {rank} of {self._team.size}, counted from 0, {how}\n"
                "so training stopped; continue from the last checkpoint with resume=auto and this hydra.run.dir"
            ) from cause

    def _end(self) -> None:
        for process in self._processes:
            end_family(process)
        for process in self._processes:
            process.wait()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.close()
            with contextlib.suppress(OSError):  # what it was not told no longer matters
                process.stdin.close()
        self._processes.clear()
        if self._team.size > 1:
            os.environ.pop(_THREADS, None)
            if self._threads_before is not None:
                os.environ[_THREADS] = self._threads_before
        self._team.disconnect()
        self._store = None
