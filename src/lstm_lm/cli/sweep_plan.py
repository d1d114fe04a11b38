"""Which jobs a sweep consists of, known, and composed once, before the first begins."""

import re
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
from lstm_lm.cli.hydra.kept_keys import BUDGET
from lstm_lm.cli.hydra.plain_config import plain_config
from lstm_lm.cli.hydra.resolvers import key_of
from lstm_lm.errors import UserError

if TYPE_CHECKING:
    from lstm_lm.sweeps.inputs import InputDigests

_OF_THE_JOB = re.compile(r"\$\{\s*hydra:")
"""How a value asks for something of the job that has it."""

CURRENT: ContextVar["SweepPlan | None"] = ContextVar("sweep plan", default=None)
"""The plan of the sweep that this process runs. Hydra makes the hook that fills it, so it cannot be handed over."""


@dataclass(frozen=True)
class SweepPlan:
    """What is known of a sweep before its first job."""

    jobs: Sequence[Sequence[str]]
    """Each as the overrides that it is given, quoted for Hydra."""
    configs: list[DictConfig]
    """What they are composed to, until `wrong` has looked at them."""
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

    def wrong(self) -> dict[int, str]:
        """Jobs, by number, that will be refused for a value, with the reason's first line.

        What only the job itself can tell, whether its text is there or what `budget=` chooses, is not known yet.
        Asked once: the configurations, half a megabyte each, are dropped.
        """
        from lstm_lm.training.config import TrainConfig  # seconds of imports

        found: dict[int, str] = {}
        for number, config in enumerate(self.configs, 1):
            try:
                typed = OmegaConf.to_yaml(OmegaConf.masked_copy(config, [*{*config} - {"hydra"}]))
                plain = plain_config(config)
                if plain.get(BUDGET) is None and not _OF_THE_JOB.search(typed):
                    TrainConfig.parse(plain)
            except UserError as error:
                found[number] = str(error).splitlines()[0]
            except Exception:  # the job will say it; nothing ends a sweep before its jobs
                continue
        self.configs.clear()
        return found

    @cached_property
    def inputs(self) -> "InputDigests":
        """Of what the jobs read, as it is when the first of them comes to it."""
        from lstm_lm.sweeps.inputs import InputDigests  # seconds of imports, which a sweep that is refused does without

        return InputDigests(strict=True)


def plan_jobs(config: DictConfig) -> tuple[Sequence[Sequence[str]], list[DictConfig]]:
    """The jobs of Hydra's basic sweeper, the only one that `hydra/guard.py` lets be made: all combinations.

    Gives each as its overrides, and composed.

    Raises:
        HydraException: a job's configuration cannot be composed.
    """
    loader = GlobalHydra.instance().config_loader()
    arguments = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    arguments += OmegaConf.to_container(config.hydra.overrides.task, resolve=False)  # type: ignore[arg-type]
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(arguments)
    [jobs] = BasicSweeper.split_arguments(overrides, None)
    return jobs, [loader.load_sweep_config(config, list(job)) for job in jobs]


def as_typed(override: str) -> str:
    """An override as a person would write it: without the quotes that are there for Hydra alone."""
    parsed = OverridesParser.create().parse_override(override)
    value = parsed.value()
    text = unquote_text(value) if isinstance(value, str) else Override._get_value_element_as_str(value)  # type: ignore[arg-type]
    return f"{parsed.get_key_element()}={text}"
