"""The shapes that are measured: grids, and a seeded random sample that no rule was made on."""

import random
from collections.abc import Iterable, Iterator
from itertools import product
from typing import NamedTuple


class Shape(NamedTuple):
    """A stack of L layers of width H (its input as wide), over a window of T steps of B streams."""

    layers: int
    hidden: int
    batch: int
    steps: int

    @property
    def label(self) -> str:
        """For people."""
        return f"L={self.layers} H={self.hidden} B={self.batch} T={self.steps}"

    @property
    def products(self) -> float:
        """Floating-point operations of the forward pass's matrix products."""
        return 2.0 * self.layers * self.steps * self.batch * 4 * self.hidden * 2 * self.hidden


class Case(NamedTuple):
    """One cell of a grid."""

    shape: Shape
    kind: str
    """float32, or the type of autocast's products: bfloat16, float16. The weights are float32."""
    mode: str
    """inference, or training: forward and backward, gradients of all parameters and of x."""


MODES = ("inference", "training")
HEADLINE = Shape(8, 128, 16, 128)
DEEP_SMALL_BATCH = Shape(8, 128, 4, 128)
DEEP = (
    Shape(8, 128, 8, 128),
    DEEP_SMALL_BATCH,
    Shape(8, 128, 1, 128),
    Shape(8, 64, 8, 128),
    Shape(8, 256, 4, 128),
    Shape(12, 128, 4, 128),
    Shape(16, 64, 4, 128),
    Shape(16, 128, 8, 128),
)
"""L >= 8 and B <= 8."""
MEDIUM = Shape(2, 256, 32, 64)
MOST_PRODUCTS = 4e11
"""The full grid leaves out what takes a common machine many seconds a step."""


def _grid(layers: Iterable[int], hidden: Iterable[int], batch: Iterable[int], steps: Iterable[int]) -> list[Shape]:
    return [Shape(*sizes) for sizes in product(layers, hidden, batch, steps)]


def grid_cases(grid: str, kinds: tuple[str, ...]) -> Iterator[Case]:
    """The cells of the grid called `grid`: tiny, small or full."""
    for kind in kinds:
        half = kind != "float32"
        shapes: list[Shape]
        if grid == "tiny":
            shapes = _grid((2,), (8,), (1, 2), (5,))
        elif grid == "small":
            shapes = _grid((2, 8) if half else (1, 2, 4, 8), (128, 256), (1, 4, 16, 64), (128,))
            shapes += [] if half else _grid((2, 8), (128,), (4, 16), (32,))
        else:
            shapes = _grid((1, 2, 3, 4, 8, 16), (64, 128, 256, 512, 1024), (1, 4, 16, 64, 128), (32, 128, 512))
            shapes = [shape for shape in shapes if shape.products <= MOST_PRODUCTS]
        for shape, mode in product(shapes, MODES):
            yield Case(shape, kind, mode)


def held_out_cases(grid: str, kinds: tuple[str, ...]) -> Iterator[Case]:
    """A sample of shapes of which no rule was made: drawn, not chosen, and never on the grid's own sizes of H."""
    chance = random.Random(20261120)
    on_grid = {case.shape.hidden for case in grid_cases(grid, kinds)}
    for number in range({"tiny": 1, "small": 10, "full": 40}[grid]):
        while True:
            shape = Shape(
                layers=chance.randint(1, 12),
                hidden=8 * chance.randint(1, 2) if grid == "tiny" else 16 * round(2 ** chance.uniform(1, 5)),
                batch=round(2 ** chance.uniform(0, 6)),
                steps=chance.randint(4, 8) if grid == "tiny" else chance.randint(16, 160),
            )
            if (shape.hidden not in on_grid or grid == "tiny") and shape.products <= 2e11:
                break
        for mode in MODES:
            yield Case(shape, kinds[number % len(kinds)], mode)
