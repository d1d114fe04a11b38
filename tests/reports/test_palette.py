"""Lines that a colour-blind reader tells apart, on a white page and on a dark one."""

from itertools import combinations

import numpy as np
import pytest

from lstm_lm.reports.palette import COLORS, GREY, MOST, ink

# Viénot, Brettel and Mollon, "Digital video colourmaps for checking the legibility of displays by dichromats" (1999):
# what a person without one kind of cone sees, in linear light.
SIGHTS = {
    "all cones": np.eye(3),
    "no red": np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]]),
    "no green": np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]),
}


def linear(color: str) -> np.ndarray:
    """sRGB to linear light, each 0 to 1."""
    value = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    """CIELAB, in which a distance of about 2.3 can just be seen."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ light
    f = np.cbrt(np.clip(xyz / np.array([0.9505, 1.0, 1.089]), 0, None))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SIGHTS)
def test_any_two_colors_differ_for_every_sight(sight: str) -> None:
    for one, other in combinations(COLORS, 2):
        distance = np.linalg.norm(lab(SIGHTS[sight] @ linear(one)) - lab(SIGHTS[sight] @ linear(other)))
        assert distance > 10, (one, other, distance)


def contrast(one: str, other: str) -> float:
    """As the Web Content Accessibility Guidelines define it: 1 to 21."""
    dark, light = sorted(float(np.dot([0.2126, 0.7152, 0.0722], linear(color))) for color in (one, other))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("page", ["#FFFFFF", "#0D1117"])
def test_every_color_can_be_seen_on_a_white_page_and_on_a_dark_one(page: str) -> None:
    assert min(contrast(color, page) for color in COLORS) >= 3
    assert contrast(GREY, page) >= 4, "text"


def test_no_two_lines_look_alike_before_the_inks_repeat() -> None:
    assert len({ink(number) for number in range(MOST)}) == MOST
    assert ink(MOST) == ink(0)
