"""A few lines of a sample, whatever a model has written."""

import io

import pytest
from rich.console import Console

from lstm_lm.training.observers.excerpt import Excerpt
from lstm_lm.training.observers.samples import MOST_SHOWN, is_shown


def rows(excerpt: Excerpt, width: int = 40) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(excerpt)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_blank_lines_take_no_room() -> None:
    assert rows(Excerpt("\n\none\n\n\ntwo\n\n\nthree\nfour", "sample")) == [
        "sample | one",
        "       | two",
        "       | three",
    ]


def test_a_long_line_is_wrapped_between_words_and_cut_after_three_rows() -> None:
    found = rows(Excerpt("word " * 100, "sample"))
    assert len(found) == 3
    assert all(len(row) <= 40 and row.endswith("word") for row in found)


def test_a_word_that_is_longer_than_the_terminal_is_broken() -> None:
    found = rows(Excerpt("x" * 1000, "sample"))
    assert [len(row) for row in found] == [40, 40, 40]


def test_it_begins_at_a_word() -> None:
    assert rows(Excerpt("ing of the world", "sample", begins=False)) == ["sample | of the world"]
    assert rows(Excerpt("ing of the world", "sample")) == ["sample | ing of the world"]
    assert rows(Excerpt("oneword", "sample", begins=False)) == ["sample | oneword"], "there is no other"


def test_short_lines_of_their_own_stand_side_by_side() -> None:
    found = rows(Excerpt("\n".join(f"name{number}" for number in range(30)), "sample", units=True))
    assert found[0] == "sample | name0 | name1 | name2 | name3"
    assert len(found) == 3


def test_it_gives_the_terminal_no_orders() -> None:
    assert r"\x1b[2J" in rows(Excerpt("a\x1b[2Jb", "sample"))[0]


@pytest.mark.parametrize(("total", "most"), [(60, 0), (400, 1), (1000, MOST_SHOWN), (100_000, MOST_SHOWN)])
def test_a_short_run_shows_fewer_samples(total: int, most: int) -> None:
    shown, before = 0, 0
    for step in range(total // 20, total, total // 20):  # not the last one, which the final sample follows
        if is_shown(before, step, total):
            shown, before = shown + 1, step
    assert shown == most


def test_a_run_without_an_end_shows_every_sample() -> None:
    assert is_shown(10, 11, None)
