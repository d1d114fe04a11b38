"""Whether a run was trained on units, and then what writes them as `generate` is asked to."""

from collections.abc import Mapping
from typing import Any

from lstm_lm.data.known_units import MOST_KNOWN, KnownUnits
from lstm_lm.data.units import separator_of, unit_of
from lstm_lm.errors import UserError
from lstm_lm.generation.options import GenerateOptions
from lstm_lm.generation.text import Settings
from lstm_lm.generation.units import UnitWriter
from lstm_lm.models.loading import Loaded
from lstm_lm.runs.checkpoint_fields import misfit


def separator_of_run(loaded: Loaded) -> str | None:
    """What ends the units that a run was trained on; None: it was trained on running text, or continues none."""
    data: Any = loaded.config.get("data")
    if not isinstance(data, Mapping) or loaded.model.objective != "language_modelling":
        return None
    return separator_of(data)


def unit_writer(loaded: Loaded, options: GenerateOptions, settings: Settings) -> UnitWriter | None:
    """What writes the units of a run that was trained on them; None: it was trained on running text.

    Raises:
        UserError: `only_new` is asked for, and this cannot be; the checkpoint's digests of units are none.
    """
    separator = separator_of_run(loaded)
    if separator is None:
        if options.only_new:
            raise UserError("only_new=true: is for runs that were trained on data.unit=line or document; leave it out")
        return None
    known = _known(loaded)
    if options.only_new and known is None:
        raise UserError(
            f"only_new=true: {loaded.checkpoint} does not say which {unit_of(loaded.config['data'])}s it was trained "
            f"on: there were more than {MOST_KNOWN:,}\nleave it out"
        )
    if options.only_new and options.stop:
        raise UserError("only_new=true: what stop= ends is no whole text that could be compared; leave one of them out")
    return UnitWriter(
        loaded.model, loaded.tokenizer, separator, known=known, num_samples=options.num_samples, **settings
    )


def _known(loaded: Loaded) -> KnownUnits | None:
    if loaded.training_units is None:
        return None
    try:
        return KnownUnits(loaded.training_units)
    except ValueError as error:
        raise misfit(loaded.checkpoint, f"lstm_lm.training_units: {error}") from None
