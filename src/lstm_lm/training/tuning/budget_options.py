"""`budget=`: what a person says, and which keys are then left to choose."""

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from statistics import fmean
from typing import Any, ClassVar

from lstm_lm.data.units import unit_of
from lstm_lm.errors import UserError
from lstm_lm.flat_keys import at
from lstm_lm.models.build import model_class
from lstm_lm.options import Options
from lstm_lm.printable import shortened

SIZES = ("model.hidden_size", "model.num_layers", "model.embedding_size")
DROPOUT = "model.dropout"
AS_DROPOUT = ("model.embedding_dropout", "model.layer_dropout", "model.output_dropout")
"""Keys that are `model.dropout` unless they are set."""
SHAPE = ("data.batch_size", "data.seq_len")
LEARNING_RATE = "optimizer.lr"
VALIDATIONS = ("trainer.val_check_interval", "trainer.check_val_every_n_epoch")
LENGTH = ("trainer.max_epochs", "trainer.max_steps", "trainer.max_time")
EXCLUDED = (*LENGTH, "trainer.min_epochs", "trainer.min_steps")
"""Keys that cannot be set beside it."""
CHOSEN = (*SIZES, DROPOUT, *AS_DROPOUT, LEARNING_RATE, *SHAPE, *VALIDATIONS, *LENGTH)
"""All keys that `budget=` may choose."""

SECONDS = {"s": 1, "m": 60, "h": 3600}
MOST_HOURS = 10_000
WHAT_TO_TYPE = "type a number and its unit, s, m or h: budget=90s, budget=10m or budget=1.5h"
_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?([smh])", re.ASCII)
_LONGEST_SHOWN = 40


class BudgetOptions(Options):
    """What `budget=` asks for."""

    name: ClassVar[str] = "budget"

    time: str
    """As it was typed: `10m`."""
    keep: list[str]
    """Keys that a person has set, of those that could be chosen."""

    @property
    def seconds(self) -> float:
        """Wall time of the whole process."""
        return seconds_of(self.time)


def seconds_of(time: object) -> float:
    """`"10m"` -> 600.0.

    Raises:
        UserError: it is no such time.
    """
    found = _TIME.fullmatch(time.strip()) if isinstance(time, str) else None
    seconds = float(found[1]) * SECONDS[found[2]] if found else 0.0
    if not 0 < seconds <= MOST_HOURS * SECONDS["h"]:
        shown = str(time).lower() if isinstance(time, bool) else shortened(str(time), _LONGEST_SHOWN)
        raise UserError(f"budget={' '.join(shown.split())}: no time above 0, up to {MOST_HOURS}h; {WHAT_TO_TYPE}")
    return seconds


def twice(time: str) -> str:
    """A time, as `seconds_of` takes it, and the one that is twice as long, in the same unit: `1.5h`, `3h`."""
    found = _TIME.fullmatch(time.strip())
    assert found is not None
    return f"{2 * Decimal(found[1]):f}".removesuffix(".0") + found[2]


def typed_seconds(seconds: float) -> str:
    """A time as it is typed, rounded up to whole seconds: `42s`."""
    return f"{math.ceil(seconds)}s"


def budget_options(config: Mapping[str, Any]) -> BudgetOptions:
    """Check the key `budget` of `config` (plain), which is not null, and whatever it excludes.

    It is a time, where nobody knows which keys a person has set, or a mapping with the keys `time` and `keep`.

    Raises:
        UserError: no time; `tune=` or a length is set, too; another kind of model.
    """
    value = config["budget"]
    section = value if isinstance(value, Mapping) else {"time": value, "keep": []}
    seconds_of(section.get("time"))
    options = BudgetOptions.parse(section, "budget")
    if config["tune"].get("name") != "none":
        raise UserError(f"budget={options.time} and tune={config['tune'].get('name')} exclude each other: use one")
    if unknown := [key for key in options.keep if key not in (*CHOSEN, *EXCLUDED)]:
        known = ", ".join(key for key in CHOSEN if key not in EXCLUDED)
        raise UserError(f"budget.keep={unknown}: budget= never chooses that\nchoose from {known}")
    if given := [key for key in EXCLUDED if key in options.keep]:
        raise UserError(f"budget={options.time} and {given[0]} exclude each other: budget= chooses the length")
    for key in ("fast_dev_run", "overfit_batches"):
        if config["trainer"].get(key):
            raise UserError(f"budget={options.time} and trainer.{key} exclude each other: that trains a few windows")
    from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel  # most runs have no budget

    name = str(config["model"].get("name"))
    if not issubclass(model_class(name), RecurrentLanguageModel):
        raise UserError(f"budget={options.time}: knows the sizes of model=lstm, gru and rnn, not those of model={name}")
    return options


def is_kept(config: Mapping[str, Any], key: str) -> bool:
    """Whether `budget=` leaves `key` as it is in `config` (plain)."""
    keep = set(config["budget"]["keep"] if isinstance(config["budget"], Mapping) else ())
    return (
        key not in CHOSEN
        or key in keep
        or (key in SIZES and config["init_from"] is not None)  # weights that are there have their sizes
        or (key in SHAPE and unit_of(config["data"]) != "window")
        or (key in AS_DROPOUT and DROPOUT in keep)
        or (key == DROPOUT and keep.issuperset(AS_DROPOUT))
        or (key in VALIDATIONS and not set(VALIDATIONS).isdisjoint(keep))
    )


def fixed_dropout(config: Mapping[str, Any]) -> float | None:
    """The dropout, on average, that `config` (plain) has and `budget=` keeps; None: some of it is open."""
    if not all(is_kept(config, key) for key in AS_DROPOUT):
        return None
    return fmean(at(config, key) for key in AS_DROPOUT)


def with_matching_sizes(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` (plain) with those open sizes that follow from the kept ones: else it would not be a model's.

    A list of widths says how many layers there are; with tied weights the embedding is as wide as the last layer.
    """
    width, layers, embedding = (key.partition(".")[2] for key in SIZES)
    is_open = {name: not is_kept(config, key) for name, key in zip((width, layers, embedding), SIZES, strict=True)}
    model = dict(config["model"])
    widths = model.get(width)
    if isinstance(widths, list) and is_open[layers]:
        model[layers] = len(widths)
    if model.get("tie_weights") and is_open[embedding]:
        model[embedding] = widths[-1] if isinstance(widths, list) and widths else widths
    elif model.get("tie_weights") and is_open[width]:
        model[width] = model.get(embedding)
    return {**config, "model": model}
