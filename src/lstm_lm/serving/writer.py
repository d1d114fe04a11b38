"""The thread that writes: between two steps requests come and go; at a step all get their next tokens, in one batch."""

import asyncio
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from lstm_lm.errors import RunError
from lstm_lm.generation.begun import Begun
from lstm_lm.generation.sampler import LONGEST_WINDOW
from lstm_lm.generation.side_by_side import SideBySide
from lstm_lm.models.loading import Loaded
from lstm_lm.serving.refusals import Refused, failed

SECONDS_BETWEEN = 0.04
"""Between two times that a job's reader is woken while it is written: 25 pieces a second look smooth, and to send a
piece takes longer than to write a token."""

Finish = Literal["stop", "length"]


class Piece(NamedTuple):
    """What has been written of a request's texts."""

    which: int
    """Of its texts, counted from 0."""
    text: str
    finish: Finish | None
    """Why it has ended, where it has."""


class Job:
    """A request's texts with one prompt, while they are written: the writer adds to it, one other thread reads."""

    def __init__(self, begun: Begun, max_tokens: int, seconds: float, ready: asyncio.Event) -> None:
        """Texts of at most so many tokens each, that end after so many seconds wherever they are then."""
        self.begun = begun
        self.max_tokens = max_tokens
        self.deadline = time.monotonic() + seconds
        self.pieces: deque[Piece] = deque()
        """What nobody has read yet."""
        self.ready = ready
        """Set, by whoever the writer wakes, when there are new pieces, or the job has ended; several may have one."""
        self.ended = False
        self.error: Exception | None = None
        """Why it ended early."""
        self.tokens = 0
        """That have been drawn for its texts, until each had ended."""
        self.woken = 0.0
        """When its reader was, in the writer's time."""
        self._drawn = 0
        self._open = list(range(len(begun.rows)))

    def take(self, tokens: list[int]) -> None:
        """The next token of each text."""
        self._drawn += 1
        out_of_time = time.monotonic() > self.deadline
        for index in list(self._open):
            row = self.begun.rows[index]
            text = row.push(tokens[index])
            self.tokens += 1
            if row.stopped or self._drawn == self.max_tokens or out_of_time:
                self._finish(index, text)
            elif text:
                self.pieces.append(Piece(index, text, None))
        self.ended = not self._open

    def finish(self) -> None:
        """End all texts as they are."""
        for index in list(self._open):
            self._finish(index, "")
        self.ended = True

    def fail(self, error: Exception) -> None:
        """End without the rest, unless it has ended."""
        if not self.ended:
            self.error = error
            self.ended = True

    def _finish(self, index: int, text: str) -> None:
        row = self.begun.rows[index]
        rest = row.finish()
        self.pieces.append(Piece(index, text + rest, "stop" if row.stopped else "length"))
        self._open.remove(index)


class Writer:
    """Writes the texts of jobs, side by side."""

    def __init__(self, loaded: Loaded, wake: Callable[[list[Job]], object]) -> None:
        """Begin, with nothing to do.

        Args:
            loaded: the model, which nothing else runs meanwhile.
            wake: called from the writer's thread with jobs of which there is something to read.
        """
        self._loaded = loaded
        self._wake = wake
        self._changed = threading.Condition()
        self._new: list[Job] = []
        self._cancelled: set[Job] = set()
        self._refusal: Refused | None = None
        """Why nothing new is taken."""
        self._reading: dict[Job, Iterator[int]] = {}
        """Jobs whose prompts are being read."""
        self._writing: dict[int, Job] = {}
        """By their streams."""
        self._batch = SideBySide(loaded.model, loaded.autocast)
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Have it written.

        Raises:
            Refused: the writer is closed, or has failed for good.
        """
        with self._changed:
            if self._refusal is not None:
                raise self._refusal
            self._new.append(job)
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """Write no more of it; nothing, where it has ended."""
        if job.ended:
            return
        with self._changed:
            self._cancelled.add(job)
            self._changed.notify()

    @property
    def works(self) -> bool:
        """Whether it takes jobs."""
        return self._refusal is None

    def close(self) -> None:
        """End all jobs, which is an error of each, and the thread."""
        self._refuse(Refused(503, "the server is ending"))
        self._thread.join()

    def _refuse(self, why: Refused) -> None:
        with self._changed:
            self._refusal = self._refusal or why
            self._changed.notify()

    def _run(self) -> None:
        try:
            while (changes := self._wait()) is not None:
                told: list[Job] = []
                try:
                    self._change(*changes)
                    told += self._read()
                    told += self._write()
                except Exception:  # of the model: whose fault it is cannot be said
                    traceback.print_exc(file=sys.stderr)
                    self._wake([*told, *self._fail_all(failed())])
                    self._batch = SideBySide(self._loaded.model, self._loaded.autocast)
                else:
                    if told:
                        self._wake(told)
        except Exception:  # as of a device that is lost
            traceback.print_exc(file=sys.stderr)
            self._refuse(Refused(500, "the server can write no more; its log says why"))
        with self._changed:
            assert self._refusal is not None
            for job in self._new:
                job.fail(self._refusal)
            self._wake([*self._new, *self._fail_all(self._refusal)])

    def _wait(self) -> tuple[list[Job], set[Job]] | None:
        """Until there is something to do; which jobs have come, and which are not wanted any more. None: no more."""
        with self._changed:
            while not (self._refusal or self._new or self._cancelled or self._reading or self._writing):
                self._changed.wait()
            if self._refusal is not None:
                return None
            new, self._new = self._new, []
            cancelled, self._cancelled = self._cancelled, set()
            return new, cancelled

    # Whatever fails in these, a job that has not been given back as ended is among those that are read or written.

    def _change(self, new: list[Job], cancelled: set[Job]) -> None:
        """Jobs come and go."""
        for job in new:
            self._reading[job] = job.begun.stream.feeding(job.begun.ids)
        for job in cancelled & self._reading.keys():
            del self._reading[job]
        self._leave([job for job in self._writing.values() if job in cancelled])

    def _fail_all(self, error: Exception) -> list[Job]:
        told = [*self._reading, *self._writing.values()]
        for job in told:
            job.fail(error)
        self._reading.clear()
        self._writing.clear()
        return told

    def _read(self) -> list[Job]:
        """Read on in prompts, LONGEST_WINDOW tokens and not many more, so that nobody waits long for a next token."""
        budget, now, done = LONGEST_WINDOW, time.monotonic(), []
        for job, feeding in self._reading.items():
            if not job.max_tokens or now > job.deadline:
                job.finish()
                done.append(job)
                continue
            read = 1
            while budget > 0 and (read := next(feeding, 0)):
                budget -= read * job.begun.stream.num_samples
            if not read:
                done.append(job)
        ready = [job for job in done if not job.ended]
        self._batch.join(*(job.begun.stream for job in ready))
        self._writing.update((id(job.begun.stream), job) for job in ready)
        for job in done:
            del self._reading[job]
        return [job for job in done if job.ended]

    def _write(self) -> list[Job]:
        """One token more of each text."""
        told = []
        now = time.monotonic()
        for stream, drawn in zip(self._batch.streams, self._batch.step(), strict=True):
            job = self._writing[id(stream)]
            if isinstance(drawn, RunError):
                job.fail(drawn)
            else:
                job.take(drawn)
            if job.ended or (job.pieces and now - job.woken > SECONDS_BETWEEN):
                job.woken = now
                told.append(job)
        self._leave([job for job in told if job.ended])
        return told

    def _leave(self, jobs: list[Job]) -> None:
        self._batch.leave(*(job.begun.stream for job in jobs))
        for job in jobs:
            del self._writing[id(job.begun.stream)]
