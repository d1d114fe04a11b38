"""What is told of a candidate that could not be timed."""

from lstm_lm.errors import UserError


class TrialFailed(Exception):
    """A candidate could not be made ready; the first line says why."""


def first_line(error: Exception) -> str:
    """What there is room for in a table; an error that does not explain itself is told with its type."""
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else ""
    explains = isinstance(error, (UserError, TrialFailed)) and text
    return text if explains else f"{type(error).__name__}: {text}".removesuffix(": ")
