"""The `study` section: what a study compares, as its YAML file says it."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from lstm_lm.errors import UserError
from lstm_lm.options import Options

Settings = dict[str, Any]
"""Keys of the configuration, dotted, and groups; each with its value."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class ArmOptions(Options):
    """Rows that belong together: `settings` that all of them have, and every combination of the values in `sweep`."""

    settings: Settings
    sweep: dict[str, list[Any]]


class StepOptions(Options):
    """What follows the training of each row, in a process of its own: `lstm_lm VERB run=ITS_RUN SETTINGS`.

    `like_row` names keys that are passed on with the value that the row has for them, where it has one.
    """

    verb: str
    settings: Settings
    like_row: list[str]


class StudyOptions(Options):
    """All of a study. `small` and `full` hold the values in which its two sizes differ, for use in the other keys."""

    name: str
    dir: str
    size: Literal["small", "full"]
    repetitions: Annotated[int, Field(ge=1, le=1000)]
    timeout_minutes: Annotated[float, Field(gt=0)]
    order_seed: Annotated[int, Field(ge=0)]
    settings: Settings
    models: Annotated[list[str], Field(min_length=1)] | None
    arms: dict[str, ArmOptions]
    baselines: dict[str, Settings]
    steps: dict[str, StepOptions]
    small: dict[str, Any]
    full: dict[str, Any]

    @classmethod
    def read(cls, section: Mapping[str, Any]) -> Self:
        """Check the section `study` of a composed configuration.

        Raises:
            UserError: a key is unknown, missing or wrong; there is no arm; an arm sweeps over no value.
        """
        study = cls.parse(section, "study")
        if not study.arms:
            raise UserError(f"study={study.name}: no arm is left\nleave at least one of study.arms")
        for name, arm in study.arms.items():
            for key, values in arm.sweep.items():
                if not values:
                    raise UserError(f"study.arms.{name}.sweep: {key}: no value\ngive it at least one, as [1, 2]")
        for name in (*study.arms, *study.steps):
            if not _NAME.fullmatch(name):
                raise UserError(f"study: {name!r} is no name for an arm or a step\nuse a-z, 0-9 and _, as in one_core")
        return study
