"""Which sizes of a recurrent model are worth a thought, and what each costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lstm_lm.models.build import count_parameters
from lstm_lm.training.tuning.budget_options import SIZES, is_kept

WIDTHS = (64, 96, 128, 192, 256, 384, 512)
WIDE = 768
"""Worth a thought where there are hours."""
HOURS = 3600.0
"""Seconds of a budget from which on `WIDE` is one."""
LAYERS = (1, 2, 3)
WIDEST_EMBEDDING = 128
STREAMS, WINDOW = 32, 64
"""B and T, unless the text is too short."""
FEWEST_STREAMS, FEWEST_STEPS = 4, 16
"""A short text has fewer streams, as long as an epoch has fewer optimizer steps than that."""


@dataclass(frozen=True)
class Size:
    """One of a recurrent language model."""

    layers: int
    width: int | tuple[int, ...]
    """H, of all layers or of each."""
    embedding: int
    parameters: int
    products: int
    """Multiplications with weights, of one token on its way through the model."""

    def settings(self) -> dict[str, Any]:
        """The keys of the configuration that say so."""
        width = self.width if isinstance(self.width, int) else list(self.width)
        return dict(zip(SIZES, (width, self.layers, self.embedding), strict=True))


def sizes(config: Mapping[str, Any], vocabulary: int, seconds: float) -> list[Size]:
    """The candidates, those with the fewest products first, for a budget of `seconds`.

    Args:
        config: plain, with a recurrent model and a `budget`; what that keeps does not vary.
        vocabulary: V.
        seconds: the budget.
    """
    model = config["model"]
    kept = {key: model[key.partition(".")[2]] for key in SIZES if is_kept(config, key)}
    width, layers, embedding = (kept.get(key) for key in SIZES)
    widths: list[Any] = [width] if width is not None else [*WIDTHS, *([WIDE] if seconds >= HOURS else [])]
    if model["tie_weights"] and embedding is not None and width is None:
        widths = [embedding]
    devices = len(config["forward"].get("devices") or ())  # each has a layer or more
    open_depths = [len(width)] if isinstance(width, list) else [max(each, devices) for each in LAYERS]
    depths = {layers} if layers is not None else {*open_depths}
    found = []
    for depth in depths:
        for one in widths:
            last = one[-1] if isinstance(one, list) else one
            own = last if model["tie_weights"] else min(last, WIDEST_EMBEDDING)
            found.append(_size(model, vocabulary, depth, one, own if embedding is None else embedding))
    return sorted(found, key=lambda each: each.products)


def shape(tokens: int, streams: int | None = None, window: int | None = None) -> tuple[int, int]:
    """(B, T) for a training text of so many tokens; None: open."""
    if streams is None:
        least, streams = window or 1, STREAMS
        while streams > FEWEST_STREAMS and tokens < FEWEST_STEPS * streams * (window or WINDOW):
            streams //= 2
        streams = max(1, min(streams, tokens // least))
    return streams, window or max(1, min(WINDOW, tokens // streams))


def _size(model: Mapping[str, Any], vocabulary: int, layers: int, width: Any, embedding: int) -> Size:
    section = {**model, "num_layers": layers, "hidden_size": width, "embedding_size": embedding}
    parameters = count_parameters(section, vocabulary)
    looked_up = 0 if model["tie_weights"] else vocabulary * embedding
    widths = tuple(width) if isinstance(width, list) else width
    return Size(layers, widths, embedding, parameters, parameters - looked_up)
