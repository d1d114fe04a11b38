"""The text on which a page's units are measured: one that the model was not trained on, or its own."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lstm_lm.errors import UserError
from lstm_lm.evaluation.text import data_section, read_text
from lstm_lm.exporting.comparison import written
from lstm_lm.exporting.page.characters import Marks
from lstm_lm.models.loading import Loaded

MOST_TOKENS = 8_000
MOST_OWN_TOKENS = 2_000
"""Of the model's own writing, which takes a step each."""
MOST_NUMBERS = 2**24
"""Activations that are held at once; 64 MiB."""


class HeldText(NamedTuple):
    """Tokens, and what they are called."""

    tokens: npt.NDArray[np.int64]
    name: str
    fresh: Marks
    """Bool `[N]`: where the state is forgotten before the token, which ends one unit and opens the next."""


def held_text(loaded: Loaded, units: int, separator: str | None) -> HeldText:
    """The beginning of the run's validation text; where that is not to be had, text that the model writes.

    Args:
        loaded: the run.
        units: of all layers.
        separator: what ends each line or document; None: running text.
    """
    most = min(MOST_TOKENS, MOST_NUMBERS // units)
    try:
        section = data_section(None, loaded.config.get("data"))
        tokens = np.asarray(read_text(section, loaded.tokenizer).corpus.tokens("validation")[:most], np.int64)
        name = "validation text"
    except (UserError, LookupError, OSError):  # moved, changed, or cut without such a split
        tokens, name = (
            written(loaded.model, min(most, MOST_OWN_TOKENS)),
            "own writing, for its validation text is not there",
        )
    return HeldText(tokens, name, _ends(loaded, tokens, separator))


def _ends(loaded: Loaded, tokens: npt.NDArray[np.int64], separator: str | None) -> Marks:
    ends = np.zeros(len(tokens), np.bool_)
    if separator is None:
        return ends
    decoder, text = loaded.tokenizer.decoder(), ""
    for place, token in enumerate(tokens.tolist()):
        text = (text + decoder.push(token))[-len(separator) :]
        ends[place] = text == separator
    return ends
