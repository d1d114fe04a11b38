"""One form for all programs: what Python cuts, the library `tokenizers` and JavaScript cut at the same places."""

import json
import shutil
import subprocess

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from lstm_lm.text_pieces import BETWEEN_BLANKS, BYTE_LEVEL, WORDS, elsewhere, in_python

FORMS = [WORDS, BETWEEN_BLANKS]
KNOWN = st.characters(exclude_categories=["Cs", "Cn"])  # engines may know different Unicodes
BLANKS = [chr(code) for code in range(0x3001) if chr(code).isspace()]
TEXTS = st.lists(st.one_of(st.sampled_from([*BLANKS, "\0", "a", "_", "7", "²", "é", "e\u0301", "'s", "."]), KNOWN)).map(
    "".join
)


def by_library(pattern: str, text: str) -> list[str]:
    cutting = pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")
    return [piece for piece, _ in cutting.pre_tokenize_str(text)]


@pytest.mark.parametrize("form", FORMS)
@given(text=TEXTS)
def test_the_library_cuts_as_python_does(form: str, text: str) -> None:
    pieces = in_python(form).findall(text)
    assert "".join(pieces) == text
    assert by_library(elsewhere(form), text) == pieces


@given(text=TEXTS)
def test_the_librarys_own_pattern_is_the_one_that_we_tell_others(text: str) -> None:
    own = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    ours = pre_tokenizers.Split(tokenizers.Regex(BYTE_LEVEL), "isolated").pre_tokenize_str(text)
    assert [place for _, place in ours] == [place for _, place in own]


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no JavaScript without a browser here (node)")
@pytest.mark.parametrize("form", FORMS)
def test_javascript_cuts_as_python_does(form: str) -> None:
    text = "".join(f"{blank}a_7{blank}{blank} '-.é e\u0301 ²{blank}" for blank in [*BLANKS, "\0", "\ufeff", "\u200b"])
    program = f"console.log(JSON.stringify({json.dumps(text)}.match(new RegExp({json.dumps(elsewhere(form))}, 'gu'))))"
    found = subprocess.run(["node", "-e", program], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == in_python(form).findall(text)
