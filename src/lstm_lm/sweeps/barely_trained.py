"""Which rows have taken too few steps for their loss to say anything of them."""

from lstm_lm.sweeps.results import Results
from lstm_lm.sweeps.rows import Row

STEPS = "train.steps"
FEWEST_STEPS = 500
"""Optimizer steps below which a row is barely trained: it is still on the steep beginning of its curve, where that
model is ahead which moves first, and not the one that ends lowest."""
MARK = "†"
NOTE = (
    f"{MARK} Barely trained: fewer than {FEWEST_STEPS} optimizer steps. Its loss says how fast it falls at "
    "first, not where it ends; nothing is concluded from it."
)


def is_barely_trained(results: Results, row: Row) -> bool:
    """Whether most of a row's repetitions have taken fewer than FEWEST_STEPS; False where none has trained."""
    steps = results.measured(row, STEPS)
    return steps is not None and steps.median < FEWEST_STEPS


def compares(results: Results, row: Row, baseline: str) -> bool:
    """Whether the losses of a row and of the one that it is compared with can be compared: both are trained."""
    other = results.plan.baseline(baseline, row)
    return other is not None and not is_barely_trained(results, row) and not is_barely_trained(results, other)


def marked(results: Results, row: Row, name: str) -> str:
    """`name`, with a mark where the row is barely trained."""
    return f"{name} {MARK}" if is_barely_trained(results, row) else name
