"""The configuration's `callbacks` section."""

from typing import Annotated

from pydantic import Field

from lstm_lm.options import Options

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class CheckpointOptions(Options):
    """When last.ckpt is written, and how many of it are kept."""

    every_n_steps: Annotated[int, Field(ge=1)]
    every_n_minutes: Positive
    keep: Annotated[int, Field(ge=1)]


class SampleOptions(Options):
    """Text written while training."""

    every_n_steps: Count
    prompt: str
    length: Count
    temperature: Positive


class EarlyStoppingOptions(Options):
    """When training is given up."""

    patience: Annotated[int, Field(ge=1)] | None
    min_delta: Annotated[float, Field(ge=0)]


class MonitorOptions(Options):
    """What is recorded besides losses."""

    system: bool
    histograms_every_n_steps: Count


class ProgressOptions(Options):
    """The live bar."""

    refresh_seconds: Positive


class CallbackOptions(Options):
    """All of them."""

    checkpoint: CheckpointOptions
    samples: SampleOptions
    early_stopping: EarlyStoppingOptions
    monitor: MonitorOptions
    progress: ProgressOptions
