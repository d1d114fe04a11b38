"""A table gives way column by column, and breaks no name."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from lstm_lm.reports.fitting_table import Column, FittingTable

NAMES = ["outputs/sweeps/s/1_model.hidden_size=32", "b"]
TABLE = FittingTable(
    [
        Column("status", [Text("completed"), Text("failed", style="red")]),
        Column("loss", [Text("1.2345"), Text("")], number=True),
        Column("age", [Text("2 d"), Text("3 d")], number=True, goes=1),
        Column("tokens/s", [Text("1,000"), Text("20,000")], number=True, goes=2),
        Column("run", [Text(name) for name in NAMES]),
    ]
)


def shown(width: int, table: FittingTable = TABLE) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(table, crop=False)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_where_there_is_room_there_is_everything() -> None:
    heading, first, second = shown(120)
    assert heading.split() == ["status", "loss", "age", "tokens/s", "run"]
    assert first.split() == ["completed", "1.2345", "2", "d", "1,000", NAMES[0]]
    assert second.split() == ["failed", "3", "d", "20,000", "b"]


def test_the_least_important_columns_go_first() -> None:
    assert shown(len(NAMES[0]) + 26)[0].split() == ["status", "loss", "age", "run"]
    assert shown(len(NAMES[0]) + 20)[0].split() == ["status", "loss", "run"]


def test_a_name_that_is_too_long_stands_above_its_figures() -> None:
    heading, titles, *rows = shown(len(NAMES[0]))
    assert heading == "run"
    assert titles.split() == ["status", "loss", "age", "tokens/s"]
    assert rows[0] == NAMES[0]
    assert rows[1].split() == ["completed", "1.2345", "2", "d", "1,000"]
    assert rows[2] == "b"


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 200])
def test_no_name_is_broken(width: int) -> None:
    said = "\n".join(shown(width))
    assert all(name in said for name in NAMES)
    assert "1.2345" in said


def test_a_column_without_a_value_is_left_out() -> None:
    table = FittingTable([Column("a", [Text("")]), Column("b", [Text("1")]), Column("run", [Text("x")])])
    assert shown(80, table)[0].split() == ["b", "run"]
