"""The most surprising first, in memory or on the disk."""

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored_models import drawn, rows

from lstm_lm.errors import RunError
from lstm_lm.evaluation.scoring import order
from lstm_lm.evaluation.scoring.order import all_sorted, most_surprising
from lstm_lm.evaluation.scoring.rows import TokenRow


def tokens(nats: list[float]) -> list[TokenRow]:
    return [TokenRow(number, 1, value, "ä \n\ud800"[number % 4]) for number, value in enumerate(nats)]


@given(st.lists(st.sampled_from([0.5, 1.25, 1 / 3, 7.0])), st.integers(1, 600), st.integers(1, 8))
def test_equally_surprising_ones_stay_in_their_order(nats: list[float], most_bytes: int, top: int) -> None:
    expected = sorted(tokens(nats), key=lambda row: -row.nats)
    assert list(all_sorted(tokens(nats), TokenRow, most_bytes)) == expected
    assert most_surprising(tokens(nats), top) == expected[:top]


def test_many_files_are_merged_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(order, "MOST_FILES", 3)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    nats = [random.Random(number).random() for number in range(200)]
    found = all_sorted(tokens(nats), TokenRow, 1000)
    first = next(found)
    assert first.nats == max(nats)
    [folder] = tmp_path.iterdir()
    assert len(list(folder.iterdir())) <= 3
    assert [row.nats for row in found] == sorted(nats, reverse=True)[1:]
    assert not list(tmp_path.iterdir())


def test_no_room_to_sort_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(RunError, match="TMPDIR"):
        list(all_sorted(tokens([1.0] * 9), TokenRow, 100))


def test_lines_go_by_their_mean_and_blank_ones_come_last() -> None:
    text = "abc\n\nhhhhhhhhhhh\nbad\na\n"
    found = rows(drawn(), text, sort="surprise")
    means = [row.nats_per_token for row in found]
    assert means[-1] is None
    assert means[:-1] == sorted(means[:-1], reverse=True)
    assert found[:2] == rows(drawn(), text, sort="surprise", top=2)
