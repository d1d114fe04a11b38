"""Which jobs a sweep consists of, known, and composed once, before the first begins."""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from lstm_lm.cli.hydra.free_text import unquote_text
from lstm_lm.cli.hydra.resolvers import key_of

if TYPE_CHECKING:
    from lstm_lm.sweeps.inputs import InputDigests

CURRENT: ContextVar["SweepPlan | None"] = ContextVar("sweep plan", default=None)
"""The plan of the sweep that this process runs. Hydra makes the hook that fills it, so it cannot be handed over."""


@dataclass(frozen=True)
class SweepPlan:
    """What is known of a sweep before its first job."""

    jobs: Sequence[Sequence[str]]
    """Each as the overrides that it is given, quoted for Hydra."""
    directory: Path
    launcher: str
    """The option of `hydra/launcher`: `basic` runs the jobs in this process."""

    @property
    def shared(self) -> list[str]:
        """The keys that have the same value in every job."""
        values: dict[str, set[str]] = {}
        for job in self.jobs:
            for override in job:
                values.setdefault(key_of(override), set()).add(override)
        return sorted(key for key, found in values.items() if len(found) == 1)

    @cached_property
    def inputs(self) -> "InputDigests":
        """Of what the jobs read, as it is when the first of them comes to it."""
        from lstm_lm.sweeps.inputs import InputDigests  # seconds of imports, which a sweep that is refused does without

        return InputDigests(strict=True)


def plan_jobs(config: DictConfig) -> Sequence[Sequence[str]]:
    """The jobs of Hydra's basic sweeper, the only one that `hydra/guard.py` lets be made: all combinations.

    Raises:
        HydraException: a job's configuration cannot be composed.
    """
    loader = GlobalHydra.instance().config_loader()
    arguments = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    arguments += OmegaConf.to_container(config.hydra.overrides.task, resolve=False)  # type: ignore[arg-type]
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(arguments)
    [jobs] = BasicSweeper.split_arguments(overrides, None)
    for job in jobs:
        loader.load_sweep_config(config, list(job))
    return jobs


def as_typed(override: str) -> str:
    """An override as a person would write it: without the quotes that are there for Hydra alone."""
    parsed = OverridesParser.create().parse_override(override)
    value = parsed.value()
    text = unquote_text(value) if isinstance(value, str) else Override._get_value_element_as_str(value)  # type: ignore[arg-type]
    return f"{parsed.get_key_element()}={text}"
