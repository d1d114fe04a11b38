"""Which units of a model separate characters best.

How well a unit separates one kind of characters from all others is the area under its ROC curve: the probability that
it is higher at a token of that kind than at another one, ties counting half (Hanley and McNeil, "The Meaning and Use of
the Area under a Receiver Operating Characteristic (ROC) Curve", 1982). 1 separates all, 0.5 none; below it the unit is
low at them, and counts as one minus that. The area asks for no threshold and no scale.

Each unit's kind is chosen on the first half of a text, and the area that is given is that of the second half, so a unit
is not listed for what it did by chance there.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lstm_lm.exporting.page.characters import Marks
from lstm_lm.models.interface import LanguageModel
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel

Activations = NDArray[np.float32]
"""`[N, U]`: after each of N tokens, of the U units of all layers, from the input upwards."""

STREAMS = 8
"""Parts of the text that are read side by side."""
FEWEST = 10
"""Tokens of a kind, and others, that each half needs."""
LEAST_AREA = 0.75
MOST_OF_A_KIND = 3
MOST = 24


class Unit(NamedTuple):
    """One that separates a kind of characters from the others."""

    place: int
    """Counted through all layers, from 0."""
    label: str
    area: float
    """0.75 to 1."""


@torch.inference_mode()
def activations(model: LanguageModel, tokens: NDArray[np.int64], fresh: Marks) -> Activations:
    """What a page colours by: an LSTM's memory, tanh(c), where other cells have their output alone.

    Args:
        model: a recurrent one.
        tokens: int64 `[N]`; what is over after a cut into 8 streams of the same length is left out.
        fresh: bool `[N]`, the tokens before which the state is forgotten.
    """
    assert isinstance(model, RecurrentLanguageModel)
    steps = len(tokens) // STREAMS
    columns = torch.from_numpy(tokens[: steps * STREAMS].reshape(STREAMS, steps).T.copy())
    kept = torch.from_numpy(~fresh[: steps * STREAMS].reshape(STREAMS, steps).T).float()
    state = model.initial_state(STREAMS)
    found = np.empty((STREAMS, steps, sum(model.options.hidden_sizes)), np.float32)
    for step in range(steps):
        state = tuple(tuple(tensor * kept[step].unsqueeze(1) for tensor in layer) for layer in state)
        _, state = model(columns[step : step + 1], state)
        found[:, step] = torch.cat([_shown(layer) for layer in state], dim=-1).numpy()
    return found.reshape(steps * STREAMS, -1)


def _shown(layer: tuple[torch.Tensor, ...]) -> torch.Tensor:
    return layer[-1].tanh() if len(layer) == 2 else layer[0]


def separating(values: Activations, classes: dict[str, Marks]) -> list[Unit]:
    """The units that separate best: the best one of each kind, the best of these first, then the second ones, ...

    Args:
        values: `[N, U]`.
        classes: by name, bool `[N]`.
    """
    half = len(values) // 2
    kinds = {name: marks for name, marks in classes.items() if _enough(marks[:half]) and _enough(marks[half:])}
    if not kinds:
        return []
    marks = np.stack(list(kinds.values()), axis=1)
    chosen = areas(values[:half], marks[:half])
    measured = areas(values[half:], marks[half:])
    units: list[Unit] = []
    for place, kind in enumerate(np.abs(chosen - 0.5).argmax(axis=1).tolist()):
        high = chosen[place, kind] > 0.5
        area = float(measured[place, kind] if high else 1 - measured[place, kind])
        units.append(Unit(place, f"{'fires' if high else 'drops'} on {list(kinds)[kind]}", area))
    ranked: list[tuple[int, Unit]] = []  # with how many better ones there are of its kind
    met = Counter[str]()
    for unit in sorted(units, key=lambda unit: -unit.area):
        kind = unit.label.partition(" on ")[2]
        if unit.area >= LEAST_AREA and met[kind] < MOST_OF_A_KIND:
            ranked.append((met[kind], unit))
            met[kind] += 1
    return [unit for _, unit in sorted(ranked, key=lambda pair: pair[0])][:MOST]


def areas(values: Activations, marks: Marks) -> NDArray[np.float64]:
    """The area of each unit and kind, `[U, C]`, of `values[N, U]` and `marks[N, C]`."""
    ranks = np.empty(values.shape)
    for unit, column in enumerate(values.T):
        ordered = np.sort(column)
        ranks[:, unit] = (ordered.searchsorted(column, "left") + ordered.searchsorted(column, "right") + 1) / 2
    positive = marks.sum(axis=0)
    negative = len(marks) - positive
    found: NDArray[np.float64] = (ranks.T @ marks - positive * (positive + 1) / 2) / (positive * negative)
    return found


def _enough(marks: Marks) -> bool:
    count = int(marks.sum())
    return min(count, len(marks) - count) >= FEWEST
