"""Which keys a person has set: what `budget=` keeps as it is.

Composition leaves no trace of that: a value that was typed looks like one of `conf/`. So the keys are read from what
was typed, and go along with the budget: `budget: 10m` becomes `budget: {time: 10m, keep: [model.hidden_size]}`.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from hydra import compose as hydra_compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from lstm_lm.cli.hydra.conf import composing
from lstm_lm.cli.hydra.plain_config import plain_config
from lstm_lm.cli.hydra.resolvers import key_of
from lstm_lm.flat_keys import flat_keys

BUDGET, RECIPE = "budget", "experiment"

Compose = Callable[[Sequence[str]], dict[str, Any]]


def job_config(config: DictConfig) -> dict[str, Any]:
    """The plain configuration of the run that Hydra has composed in this process, with the keys that its user set.

    Raises:
        OmegaConfBaseException: as `plain_config`.
    """
    job = HydraConfig.get()
    name = str(job.job.config_name)

    def compose(lines: Sequence[str]) -> dict[str, Any]:
        with nullcontext() if GlobalHydra.instance().is_initialized() else composing(name):
            return plain_config(hydra_compose(name, overrides=list(lines)))

    return with_kept_keys(plain_config(config), [str(line) for line in job.overrides.task], compose)


def with_kept_keys(plain: dict[str, Any], overrides: Sequence[str], compose: Compose) -> dict[str, Any]:
    """The plain configuration, and in its `budget`, where it has one, the keys that a person has set.

    Those are the keys that were typed, whatever their value, and those that a recipe (`experiment=`) changes, but for
    its length, which is for a time of its own. The choice of an option, as `model=gru`, sets none.

    Args:
        plain: what was composed.
        overrides: as they were typed, quoted for Hydra.
        compose: from overrides to a plain configuration, for the one without the recipe.
    """
    if plain.get(BUDGET) is None:
        return plain
    from lstm_lm.training.tuning.budget_options import CHOSEN, EXCLUDED  # seconds of imports

    kept = {key for line in overrides for key in _keys(line)}
    without = [line for line in overrides if key_of(line) != RECIPE]
    if len(without) < len(overrides):
        before, now = flat_keys(compose(without)), flat_keys(plain)
        kept |= {key for key, value in now.items() if key not in EXCLUDED and before.get(key) != value}
    return {**plain, BUDGET: {"time": plain[BUDGET], "keep": sorted(kept & {*CHOSEN, *EXCLUDED})}}


def _keys(override: str) -> list[str]:
    """`model.hidden_size=64` -> `["model.hidden_size"]`; of a mapping, each of its keys."""
    value = OverridesParser.create().parse_override(override).value()
    return list(flat_keys({key_of(override): value}))
