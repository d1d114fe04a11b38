"""Which runs, and in which order."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.errors import UserError
from lstm_lm.runs.listing import Entry
from lstm_lm.runs.selection import SORTABLE, Where, select


def entry(run: str = "run", **values: object) -> Entry:
    known: dict[str, object] = dict.fromkeys(Entry.__dataclass_fields__)
    return Entry(
        **(known | {"run": run, "path": Path("outputs") / run, "status": "completed", "modified": 0.0} | values)
    )  # type: ignore[arg-type]


def names(entries: list[Entry], where: Where | None = None, order: str = "run") -> list[str]:
    return [found.run for found in select(entries, where or Where(), order)]


RUNS = [
    entry("a", data="tinyshakespeare", model="lstm", loss=1.5, modified=3.0),
    entry(
        "sweeps/x/1", data="python_docs", model="gru", loss=1.2, modified=1.0, command="train.py model.hidden_size=64"
    ),
    entry("sweeps/x/2", data=None, model="lstm", loss=None, status="failed", modified=2.0),
]


@pytest.mark.parametrize(
    ("where", "left"),
    [
        (Where(), ["a", "sweeps/x/1", "sweeps/x/2"]),
        (Where(status=["failed"]), ["sweeps/x/2"]),
        (Where(status=["failed", "completed"], model=["lstm"]), ["a", "sweeps/x/2"]),
        (Where(data=["tiny*"]), ["a"]),
        (Where(data=["tiny"]), []),
        (Where(folder=["sweeps"]), ["sweeps/x/1", "sweeps/x/2"]),
        (Where(folder=["outputs/sweeps/x/"]), ["sweeps/x/1", "sweeps/x/2"]),
        (Where(folder=["sweep"]), []),
        (Where(match=["Hidden_Size=64"]), ["sweeps/x/1"]),
        (Where(match=["x/2", "nothing"]), ["sweeps/x/2"]),
    ],
)
def test_what_fits(where: Where, left: list[str]) -> None:
    assert names(RUNS, where) == left


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("loss", ["sweeps/x/1", "a", "sweeps/x/2"]),
        ("-loss", ["a", "sweeps/x/1", "sweeps/x/2"]),
        ("age", ["a", "sweeps/x/2", "sweeps/x/1"]),
        ("-age", ["sweeps/x/1", "sweeps/x/2", "a"]),
        ("data", ["sweeps/x/1", "a", "sweeps/x/2"]),
    ],
)
def test_what_is_not_known_comes_last_either_way(order: str, expected: list[str]) -> None:
    assert names(RUNS, order=order) == expected


@given(st.lists(st.one_of(st.none(), st.floats(0, 10))), st.sampled_from(["loss", "-loss"]))
def test_any_list_is_sorted_and_whole(losses: list[float | None], order: str) -> None:
    got = [found.loss for found in select([entry(loss=loss) for loss in losses], Where(), order)]
    known = [loss for loss in losses if loss is not None]
    assert got == sorted(known, reverse=order == "-loss") + [None] * (len(losses) - len(known))


@pytest.mark.parametrize("name", SORTABLE)
def test_every_name_sorts(name: str) -> None:
    assert sorted(names(RUNS, order=f"-{name}")) == ["a", "sweeps/x/1", "sweeps/x/2"]


def test_an_unknown_field_names_those_there_are() -> None:
    with pytest.raises(UserError, match=r"sort=lose: cannot be sorted by\n.*loss"):
        names(RUNS, order="lose")
