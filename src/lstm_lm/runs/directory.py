"""Where a run's files lie, and how a new run gets a directory that no other run has."""

import itertools
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lstm_lm.errors import UserError
from lstm_lm.runs import atomic, summary

STUDY_ROWS = "rows"
"""The folder, in a study's own, whose folders are the study's rows, with a run for each repetition."""


@dataclass(frozen=True)
class RunDirectory:
    """The directory of one run. Holds paths only; nothing is touched before `create`."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """The folder of all checkpoints."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """The checkpoint with the lowest validation loss."""
        return self.checkpoints / "best.ckpt"

    @property
    def last(self) -> Path:
        """The newest checkpoint, which a resumed run continues."""
        return self.checkpoints / "last.ckpt"

    @property
    def metrics(self) -> Path:
        """One row per logged step (see `metrics_file`)."""
        return self.path / "metrics.csv"

    @property
    def summary(self) -> Path:
        """What was run and what came out (see `summary`)."""
        return self.path / "summary.json"

    @property
    def evaluation(self) -> Path:
        """One section per evaluation method that was run."""
        return self.path / "evaluation.json"

    def evaluation_plot(self, method: str) -> Path:
        """The picture of an evaluation method's section."""
        return self.path / f"evaluation-{method}.png"

    @property
    def tuning(self) -> Path:
        """What was measured before training, and what was chosen (`tune=`)."""
        return self.path / "tuning.json"

    @property
    def tensorboard(self) -> Path:
        """The folder of the event files."""
        return self.path / "tensorboard"

    @property
    def profiler(self) -> Path:
        """The folder of what `trainer.profiler` has written."""
        return self.path / "profiler"

    @property
    def is_of_a_study(self) -> bool:
        """Whether a study made it, to compare it with others: `STUDY/rows/ROW/1`, with a record `1.json` beside it."""
        return self.path.parent.parent.name == STUDY_ROWS and self.path.with_name(f"{self.path.name}.json").is_file()

    @property
    def config(self) -> Path:
        """The composed configuration of a run from the command line."""
        return self.path / ".hydra" / "config.yaml"

    def create(self) -> None:
        """Make the folders (those that exist already are kept) and prove that files can be written in each.

        Raises:
            UserError: a folder cannot be made or written.
        """
        for folder in (self.path, self.checkpoints, self.tensorboard):
            make_writable(folder, "hydra.run.dir")

    def is_empty(self) -> bool:
        """Whether no training has left results here: neither checkpoint, metrics, summary, evaluation nor event file.

        The configuration that is written before a run begins does not count, nor does a summary that says that the
        run failed before its first step.
        """
        # os.path's question, unlike Path's, is answered for a folder that cannot be looked into too.
        if os.path.exists(self.metrics) or os.path.exists(self.evaluation):
            return False
        if os.path.exists(self.summary) and not self._failed_early():
            return False
        return not any(self.checkpoints.glob("*.ckpt")) and not self.event_files()

    def event_files(self) -> list[Path]:
        """TensorBoard's files: in its folder, and in the folder below that Lightning's own logger makes."""
        try:
            return [*self.tensorboard.glob("*tfevents*"), *self.tensorboard.glob("*/*tfevents*")]
        except OSError:  # it is no folder of ours
            return []

    def _failed_early(self) -> bool:
        try:
            said = summary.read(self.summary)
        except UserError:  # whatever it was, it is not ours to write over
            return False
        return said.status == "failed" and not said.train.steps


def claim(base: Path) -> Path:
    """Make a fresh directory that belongs to the caller alone: `base`, or else `base-2`, `base-3`, ...

    The operating system makes a directory for one caller only, so any number of processes, on any number of
    machines that share the disk, get a different one each.

    Raises:
        UserError: the directory cannot be made.
    """
    base = Path(os.path.abspath(base))  # "." has no name to number
    _make(base.parent)
    for number in itertools.count(1):
        candidate = base if number == 1 else base.with_name(f"{base.name}-{number}")
        try:
            candidate.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(str(atomic.write_error(candidate, error))) from error
        return candidate
    raise AssertionError("itertools.count ended")


def make_writable(folder: Path, key: str) -> None:
    """Make `folder`, which `key` of the configuration names, and prove that a file can be written there.

    Raises:
        UserError: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:  # without a name, which a killed process would leave
            probe.write(b"\n")  # content, not only a name: a full disk still has room for names
            probe.flush()
    except OSError as error:
        raise UserError(str(atomic.write_error(folder, error, f"another folder: {key}=DIR"))) from error


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(str(atomic.write_error(folder, error))) from error
