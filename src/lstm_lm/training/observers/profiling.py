"""`trainer.profiler`: Lightning's profilers, with their reports in the run directory.

`profiler/` holds a report for each stage (`fit-profile.txt`, then `validate-`, `test-`), to which a run that is
continued adds its own, and, of `pytorch`, the trace of three steps of each for Chrome or Perfetto. With several
processes each writes its own, its rank in the name.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.profilers import AdvancedProfiler, Profiler, PyTorchProfiler, SimpleProfiler

from lstm_lm.errors import RunError
from lstm_lm.runs.atomic import write_error
from lstm_lm.training.compile.watch import quiet_kineto


class _InRunDirectory(Profiler):
    """Reports in the run directory."""

    def setup(self, stage: str, local_rank: int | None = None, log_dir: str | None = None) -> None:
        """Without `local_rank`: Lightning counts the devices that it sees in this process, which is one."""
        del local_rank
        super().setup(stage, None, log_dir)

    def describe(self) -> None:
        """Write the report of a stage.

        Raises:
            RunError: the file system refused.
        """
        try:
            super().describe()
        except OSError as error:
            raise write_error(Path(str(self.dirpath)), error) from error


class _Simple(_InRunDirectory, SimpleProfiler):
    pass


class _Advanced(_InRunDirectory, AdvancedProfiler):
    pass


class _PyTorch(_InRunDirectory, PyTorchProfiler):
    def start(self, action_name: str) -> None:
        quiet_kineto()
        super().start(action_name)


PROFILERS: dict[str, type[Any]] = {"simple": _Simple, "advanced": _Advanced, "pytorch": _PyTorch}
"""By the name that is asked for."""


def make_profiler(name: str | None, folder: Path, rank: int, size: int) -> Profiler | None:
    """Lightning's profiler `name` (one of PROFILERS; None: none), which writes into `folder` once a stage has ended.

    The folder is made when there is something to write. This process is number `rank` (from 0 on) of `size`.
    """
    if name is None:
        return None
    profiler: Profiler = PROFILERS[name](dirpath=folder, filename="profile" if size == 1 else f"profile-rank{rank}")
    return profiler


def report_what_was_interrupted(trainer: pl.Trainer) -> None:
    """Write what has been profiled of a stage that has ended by an error, where its end would have."""
    with suppress(RunError):
        trainer.profiler.describe()  # type: ignore[attr-defined]
