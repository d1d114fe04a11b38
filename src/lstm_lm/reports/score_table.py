"""Scores of lines, tokens or a text as a person reads them on the terminal."""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from lstm_lm.evaluation.scoring.rows import LineRow, Row, TextRow, TokenRow
from lstm_lm.printable import printable, shortened
from lstm_lm.reports.evaluation_table import number, plain_table

LONGEST_TEXT = 1000
"""Characters of a line that are looked at: no terminal is wider."""
LONGEST_TOKEN = 20


def score_table(rows: Iterable[Row]) -> Table:
    """What to print: a row each, all of one kind; the text last, as far as the terminal is wide."""
    table = plain_table()
    for place, row in enumerate(rows):
        cells = _cells(row)
        if not place:
            for name in cells:
                last = name == "text"  # which alone gives way where the terminal is narrow
                table.add_column(name, justify="left" if last else "right", no_wrap=not last)
        table.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in cells.values()))
    return table


def _cells(row: Row) -> dict[str, str]:
    if isinstance(row, TokenRow):
        return {
            "line": f"{row.line:,}",
            "token": f"{row.token:,}",
            "nats": number(row.nats),
            "text": _quoted(row.text),
        }
    scores = {
        "tokens": f"{row.tokens:,}",
        "nats": number(row.nats, ",.2f"),
        "nats/token": number(row.nats_per_token),
        "bits/char": number(row.bits_per_character),
        "most surprising": _worst(row),
    }
    if isinstance(row, TextRow):
        return scores
    return {"line": f"{row.line:,}", **scores, "text": printable(row.text[:LONGEST_TEXT])}


def _worst(row: LineRow | TextRow) -> str:
    if row.most_surprising is None:
        return "-"
    return f"{_quoted(row.most_surprising)} {number(row.most_surprising_nats, ',.2f')}"


def _quoted(token: str) -> str:
    return repr(shortened(token, LONGEST_TOKEN))
