"""How a window is cut into chunks, and in which order the cells of the grid run.

Cell (l, k) is layer l over chunk k of the window. It needs (l - 1, k) and (l, k - 1): so all cells on an anti-diagonal
can run at once. Many chunks keep many workers busy, but each costs a call, in which the vendor's library re-packs the
weights and, backwards, sums their gradient. The lengths are those for which a simulation of the workers ends first: a
rule of shape, type and number of workers, not a measurement: on one machine a run is always cut the same way.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

GridCell = tuple[int, int]
"""(layer, chunk)."""
FIRST: GridCell = (0, 0)
"""The one that needs none."""

MOST_CHUNKS = 32
"""A window is never cut into more."""
MOST_LAYERS = 64
"""A deeper stack is cut as one of so many layers: the corners of its grid no longer weigh anything."""
RAMPS = (4, 8, 12, 16, 24, 32, 48, 64)
"""Lengths tried for a short first and last chunk, in which only one worker is busy."""


@dataclass(frozen=True)
class Chunking:
    """How one window is cut, and in which order its cells run."""

    lengths: tuple[int, ...]
    """Steps of each chunk."""
    chunk_first: bool
    """Of two cells that are ready, take the earlier chunk's; else the one on the earlier anti-diagonal."""

    def priority(self, cell: GridCell) -> tuple[int, int]:
        """Cells that are ready run in the order of this."""
        layer, chunk = cell
        return (chunk, layer) if self.chunk_first else (layer + chunk, layer)


@lru_cache(maxsize=256)
def best_chunking(steps: int, layers: int, workers: int, extra: float) -> Chunking:
    """The chunks and order that end first with so many workers, where a call costs `extra` steps beside its own."""
    layers = min(layers, MOST_LAYERS)
    best = min(
        (makespan(candidate, layers, workers, extra), len(candidate.lengths), number, candidate)
        for number, candidate in enumerate(_candidates(steps, workers))
    )
    return best[-1]


def equal_chunks(steps: int, chunk: int) -> Chunking:
    """Chunks of `chunk` steps, the last one shorter where they do not go into T."""
    lengths = [chunk] * (steps // chunk)
    return Chunking((*lengths, steps % chunk) if steps % chunk else tuple(lengths), chunk_first=False)


def makespan(chunking: Chunking, layers: int, workers: int, extra: float) -> float:
    """When the last cell ends, in steps, if a cell of n steps takes n + `extra`."""
    grid = Dependencies(layers, len(chunking.lengths))
    ready = [(chunking.priority(cell), cell) for cell in [FIRST]]
    running: list[tuple[float, GridCell]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < workers:
            _, cell = heapq.heappop(ready)
            heapq.heappush(running, (now + chunking.lengths[cell[1]] + extra, cell))
        now, cell = heapq.heappop(running)
        for freed in grid.done(cell):
            heapq.heappush(ready, (chunking.priority(freed), freed))
    return now


class Dependencies:
    """Which cells may run, as others end. Forwards from (0, 0); a backward pass mirrors both coordinates."""

    def __init__(self, layers: int, chunks: int) -> None:
        self.left = layers * chunks
        """Cells that have not ended."""
        self._missing = {cell: (cell[0] > 0) + (cell[1] > 0) for cell in product(range(layers), range(chunks))}

    def done(self, cell: GridCell) -> Iterator[GridCell]:
        """Note that `cell` has ended; gives those that may run now because of it."""
        self.left -= 1
        layer, chunk = cell
        for freed in ((layer + 1, chunk), (layer, chunk + 1)):
            if freed in self._missing:
                self._missing[freed] -= 1
                if not self._missing[freed]:
                    yield freed


def anti_diagonals(layers: int, chunks: int, last: Sequence[bool]) -> Iterator[GridCell]:
    """All cells, anti-diagonal by anti-diagonal: an order in which a single caller can issue them.

    On each diagonal the layers for which `last` is true come last.
    """
    for diagonal in range(layers + chunks - 1):
        ready = range(max(0, diagonal - chunks + 1), min(layers, diagonal + 1))
        for layer in sorted(ready, key=lambda layer: last[layer]):
            yield layer, diagonal - layer


def mirrored(cell: Callable[[int, int], None], layers: int, chunks: int) -> Callable[[int, int], None]:
    """`cell` with both coordinates counted from the end: the backward pass is the forward pass's mirror image."""
    return lambda layer, chunk: cell(layers - 1 - layer, chunks - 1 - chunk)


def _candidates(steps: int, workers: int) -> Iterator[Chunking]:
    most = min(steps, MOST_CHUNKS)
    for chunk_first in (False, True):
        for count in range(1, most + 1):
            yield Chunking(_even(steps, count), chunk_first)
        for ramp in RAMPS:
            middle = steps - 2 * ramp
            if middle < ramp:
                break
            for count in range(1, min(most - 2, 2 * workers + 2, middle) + 1):
                yield Chunking((ramp, *_even(middle, count), ramp), chunk_first)


def _even(steps: int, count: int) -> tuple[int, ...]:
    """`count` lengths that differ by 1 at most, the longer ones first."""
    return tuple(steps // count + (index < steps % count) for index in range(count))
