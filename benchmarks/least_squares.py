"""Least squares where derivatives are differences: a curve's constants, a dozen at most.

Not SciPy's: where that is installed, torchmetrics imports all of it, and every command starts half a second later.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

STEPS = 200
SMALL = 1e-5
"""The difference that a derivative is taken over."""
ENOUGH = 1e-9
"""A step that gains less, as a share of the sum, is the last."""


def least_squares(
    misses: Callable[[NDArray[np.float64]], NDArray[np.float64]], point: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Levenberg and Marquardt's method, with differences for derivatives."""
    damping, now = 1e-2, misses(point)
    for _ in range(STEPS):
        slopes = np.stack([(misses(point + SMALL * axis) - now) / SMALL for axis in np.eye(len(point))], axis=1)
        square = slopes.T @ slopes
        step = np.linalg.solve(square + damping * np.diag(np.diag(square) + 1e-9), -slopes.T @ now)
        after = misses(point + step)
        if np.isfinite(after).all() and (after**2).sum() < (now**2).sum():
            gained = 1 - (after**2).sum() / (now**2).sum()
            point, now, damping = point + step, after, damping / 3
            if gained < ENOUGH:
                break
        else:
            damping *= 4
            if damping > 1e9:
                break
    return point
