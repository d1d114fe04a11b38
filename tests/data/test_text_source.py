import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.data import text_source
from lstm_lm.data.text_source import CharacterRange, StringText


@given(st.text(), st.integers(0, 30), st.integers(0, 30), st.integers(1, 5))
def test_a_range_is_a_slice(text, start, stop, size):
    pieces = StringText(text, "text")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_source, "PIECE_BYTES", size)
        assert "".join(pieces.pieces()) == text
        assert "".join(CharacterRange(pieces, start, stop).pieces()) == text[start:stop]


def test_ranges_have_checksums_of_their_own():
    source = StringText("some text", "text")
    assert len({CharacterRange(source, *bounds).checksum() for bounds in [(0, 1), (0, 2), (1, 2)]}) == 3
    assert source.checksum() == hashlib.sha256(b"some text").hexdigest()
