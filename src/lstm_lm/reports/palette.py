"""Colours and dashes that tell lines apart: on white and on a dark page, for colour-blind people, on grey paper too.

Pictures have no background of their own, so each colour is a middle tone: against white and against GitHub's dark
#0d1117 its contrast is at least 3, the text's more than 4 (WCAG 2.2 asks for 3 of graphics).
"""

from typing import NamedTuple

BLUE = "#1F77D0"
VERMILION = "#E05A10"
GREEN = "#0A9A60"
PURPLE = "#C060A0"
VIOLET = "#7755EE"
BROWN = "#996633"
GREY = "#787878"
"""Of text and axes, and of what is no contender: a reference, an anchor."""

COLORS = (BLUE, VERMILION, GREEN, PURPLE, VIOLET, BROWN, GREY)
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
