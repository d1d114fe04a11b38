from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.generation.stop import StopScanner

TEXT = st.text("ab\n", max_size=30)
STOPS = st.lists(st.text("ab\n", min_size=1, max_size=5), max_size=4)


def expected(text: str, stops: list[str]) -> tuple[str, bool]:
    """Read character by character; cut before the longest stop string among those that are complete first."""
    for end in range(1, len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            return text[: end - max(map(len, complete))], True
    return text, False


@given(TEXT, STOPS, st.lists(st.integers(0, 30), max_size=8))
def test_the_text_ends_before_the_first_stop_string_wherever_the_pieces_are_cut(
    text: str, stops: list[str], cuts: list[int]
) -> None:
    scanner = StopScanner(stops)
    bounds = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    passed_on = ""
    for start, end in pairwise(bounds):
        passed_on += scanner.push(text[start:end])
        whole, _ = expected(text, stops)
        assert whole.startswith(passed_on), "nothing is passed on that may be part of a stop string"
    stopped = scanner.stopped
    assert (passed_on + scanner.flush(), stopped) == expected(text, stops)


@given(TEXT, STOPS)
def test_no_more_is_held_back_than_can_become_a_stop_string(text: str, stops: list[str]) -> None:
    scanner = StopScanner(stops)
    passed_on = scanner.push(text)
    if not scanner.stopped:
        held = text[len(passed_on) :]
        assert not held or any(stop.startswith(held) and stop != held for stop in stops)


def test_a_stop_string_that_almost_comes_is_given_after_all() -> None:
    scanner = StopScanner(["\n\n", "END"])
    assert [scanner.push(piece) for piece in ("x\n", "y E", "N", "d")] == ["x", "\ny ", "", "ENd"]
    assert scanner.push("EN") == ""
    assert scanner.flush() == "EN"


def test_nothing_follows_a_stop_string() -> None:
    scanner = StopScanner(["."])
    assert scanner.push("one. two") == "one"
    assert scanner.push("three") == ""
    assert scanner.flush() == ""
    assert scanner.stopped


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        StopScanner(["a", ""])
