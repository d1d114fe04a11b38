"""Colours and dashes that distinguish lines, for colour-blind people and on grey paper too.

The colours are those of Okabe and Ito, "Color Universal Design" (2008), without yellow, which is lost on white.
"""

from typing import NamedTuple

BLUE = "#0072B2"
VERMILION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
ORANGE = "#E69F00"
SKY = "#56B4E9"
BLACK = "#000000"
GREY = "#8A8A8A"
"""For what is no contender: a reference, an anchor."""

COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
DASHES = ("solid", "dashed", "dotted", "dashdot")
MOST = len(COLORS) * len(DASHES)
"""How many lines can be distinguished."""


class Ink(NamedTuple):
    """What one line is drawn with, in matplotlib's names."""

    color: str
    linestyle: str


def ink(number: int) -> Ink:
    """The ink of line `number`, from 0: seven colours, then the same ones dashed, and so on; repeats after `MOST`."""
    return Ink(COLORS[number % len(COLORS)], DASHES[number // len(COLORS) % len(DASHES)])
