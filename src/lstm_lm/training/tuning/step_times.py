"""From the step times of a few sizes to those of all: what each layer costs, and what each product."""

from collections.abc import Mapping

from lstm_lm.training.tuning.sizes import Size


class StepTimes:
    """Seconds of an optimizer step by size: as measured, or else `a * layers + b * products`."""

    def __init__(self, measured: Mapping[Size, float]) -> None:
        """Fit to what was `measured`, one size at least."""
        self.measured = dict(measured)
        self._layer, self._product = _fit(self.measured)

    def __getitem__(self, size: Size) -> float:
        return self.measured.get(size) or self._layer * size.layers + self._product * size.products


def _fit(measured: Mapping[Size, float]) -> tuple[float, float]:
    """The a and b, none negative, with the least sum of squared relative errors.

    One size alone is taken to consist of products: larger ones then rather turn out faster than thought.
    """
    rows = [(size.layers / seconds, size.products / seconds) for size, seconds in measured.items()]
    aa, ab, bb = (sum(row[i] * row[j] for row in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    a, b = sum(row[0] for row in rows), sum(row[1] for row in rows)
    determinant = aa * bb - ab * ab
    if len(rows) > 1 and determinant > 1e-9 * aa * bb:
        layer, product = (a * bb - b * ab) / determinant, (b * aa - a * ab) / determinant
        if layer >= 0 and product >= 0:
            return layer, product
        if product < 0:  # no slower for being larger
            return a / aa, 0.0
    return 0.0, b / bb
