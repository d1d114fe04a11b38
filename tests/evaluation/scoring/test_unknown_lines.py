"""Text that the tokenizer does not know: in which lines, and how often."""

import pytest
from scored_models import drawn, rows

from lstm_lm.data.text_source import StringText
from lstm_lm.errors import UserError
from lstm_lm.evaluation.scoring import unknown as of_unknown
from lstm_lm.evaluation.scoring.score import Scoring
from lstm_lm.tokenizers.char import CharTokenizer
from lstm_lm.tokenizers.interface import Unknown

TEXT = "abc\naxb\n\nbad\nyy\n"


@pytest.mark.parametrize("unit", ["line", "token", "text"])
def test_it_is_refused_with_its_lines(unit: str) -> None:
    with pytest.raises(UserError) as refused:
        rows(drawn(), TEXT, unit=unit)
    first, where, remedy = str(refused.value).splitlines()
    assert first.startswith("the text, line 2: the char tokenizer does not know 'x' (U+0078)")
    assert where.endswith("2 lines: 2, 5")
    assert "unknown=skip" in remedy
    assert "unknown=replace" in remedy


def test_left_out_or_replaced_it_costs_the_line_its_bits() -> None:
    known, odd, _, other, nothing = rows(drawn(), TEXT, unknown="skip")
    assert (odd.tokens, odd.unknown, odd.bits_per_character) == (3, 1, None)
    assert (nothing.tokens, nothing.unknown) == (0, 2), "all of it is unknown"
    assert None not in (known.bits_per_character, other.bits_per_character)
    replaced = rows(drawn(), TEXT, unknown="replace")
    assert [(row.tokens, row.unknown) for row in replaced] == [(4, 0), (4, 1), (0, 0), (4, 0), (3, 2)]
    skipped = rows(drawn(), "ab", unknown="error")[0]
    assert odd.nats == pytest.approx(skipped.nats, abs=1e-5)


@pytest.mark.parametrize("unit", ["line", "text"])
@pytest.mark.parametrize("unknown", ["skip", "replace"])
def test_its_lines_are_counted(unit: str, unknown: Unknown) -> None:
    scoring = Scoring(drawn(), unknown=unknown)
    source = StringText(TEXT * 10, "the text")
    assert scoring.text(source).unknown == 30 if unit == "text" else list(scoring.lines(source))
    assert scoring.totals.unknown.pieces == 30
    assert scoring.totals.unknown.where == "20 lines: 2, 5, 7, 10, 12, 15, 17, 20, ..."


def test_a_text_without_end_is_looked_at_only_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_unknown, "LOOKED_FURTHER", 3)
    with pytest.raises(UserError, match=r"2 lines: 2, 5 \(of the first 5\)"):
        rows(drawn(), TEXT * 3)


def test_half_of_a_character_is_told_by_its_line() -> None:
    for unit in ("line", "text"):
        with pytest.raises(UserError, match="U\\+D800, a lone surrogate"):
            rows(drawn(CharTokenizer("\nab")), "ab\na\ud800b", unit=unit)
