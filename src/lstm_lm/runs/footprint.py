"""What a run that is refused would leave behind, and how it is taken away again."""

import contextlib
import os
from pathlib import Path
from typing import Self

from lstm_lm.errors import RunError, UserError
from lstm_lm.runs import atomic
from lstm_lm.runs.directory import RunDirectory, claim
from lstm_lm.runs.metrics_file import MOST_BYTES
from lstm_lm.runs.regular_file import read_regular


class Footprint:
    """A run directory as it was before a run began, to be put back should that end before its first step.

    Only files that such a beginning writes are ever touched: the configuration's record, the summary, the metrics, the
    event files. Whatever else lies there, and the folders around it, stays.
    """

    def __init__(self, run: RunDirectory, missing: list[Path] | None = None) -> None:
        """Remember `run` as it is now.

        Args:
            run: the directory, there or not.
            missing: folders that were made for it already, the innermost first.

        Raises:
            UserError: it, or a file of the run that is there, cannot be read.
        """
        self.run = run
        try:
            os.stat(run.path)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:  # a name that is too long, a zero character in it, a folder of others
            raise UserError(
                f"hydra.run.dir={run.path}: {getattr(error, 'strerror', None) or error}\n"
                "choose another folder: hydra.run.dir=DIR"
            ) from error
        folders = [run.checkpoints, run.tensorboard, run.config.parent]
        self._missing = [folder for folder in folders if not os.path.exists(folder)] + (missing or _missing(run.path))
        self._contents = {path: _read(path) for path in self._rewritten()}
        self._event_files = set(run.event_files())
        self._checkpoints = self._checkpoint_times()

    @classmethod
    def claimed(cls, base: Path) -> Self:
        """That of a fresh directory `base` (or `base-2`, ...), which is made here.

        Raises:
            UserError: it cannot be made.
        """
        above = _missing(Path(os.path.abspath(base)).parent)
        directory = claim(base)
        return cls(RunDirectory(directory), [directory, *above])

    def untouched(self) -> bool:
        """Whether summary and checkpoints are what they were: every run that is not refused leaves others."""
        summary = self.run.summary
        now = read_regular(summary) if os.path.isfile(summary) else None
        return now == self._contents.get(summary) and self._checkpoint_times() == self._checkpoints

    def erase(self) -> None:
        """Put everything back, as far as the file system allows; what it refuses stays as it is."""
        for path in {*self._rewritten(), *self._contents}:
            before = self._contents.get(path)
            with contextlib.suppress(OSError, RunError):
                if before is None:
                    path.unlink()
                elif not path.exists() or read_regular(path, MOST_BYTES) != before:
                    atomic.write_bytes(path, before)
        for path in {*self.run.event_files()} - self._event_files:
            with contextlib.suppress(OSError):
                path.unlink()
        for folder in self._missing:
            with contextlib.suppress(OSError):  # not there, or not empty: someone else has put something there
                folder.rmdir()

    def _rewritten(self) -> list[Path]:
        """The files that are there of those that a beginning run writes over."""
        run = self.run
        record = run.config.parent.glob(f"*{run.config.suffix}")
        return [path for path in (run.summary, run.metrics, run.tuning, *record) if os.path.isfile(path)]

    def _checkpoint_times(self) -> dict[Path, int]:
        return {path: path.lstat().st_mtime_ns for path in self.run.checkpoints.glob("*.ckpt")}


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, MOST_BYTES)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error


def _missing(folder: Path) -> list[Path]:
    """`folder` and those above it that are not there, the innermost first."""
    return [path for path in (folder, *folder.parents) if not os.path.exists(path)]
