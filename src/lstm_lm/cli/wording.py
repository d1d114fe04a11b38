"""How a value that a person typed is shown in a message: on one line, and not too long."""

from lstm_lm.printable import printable

LONGEST_SHOWN = 100


def shown(text: str) -> str:
    """`text` with control characters escaped, cut in the middle where it is long."""
    line = printable(text)
    if len(line) <= LONGEST_SHOWN:
        return line
    half = LONGEST_SHOWN // 2
    return f"{line[:half]} ... {line[-half:]}"
