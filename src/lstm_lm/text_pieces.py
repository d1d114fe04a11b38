r"""What cuts a text into pieces, said once for Python, for the library `tokenizers`, and for the script of a page.

All matches of a pattern, one after the other, are the pieces; joined they are the text. Engines disagree about `\w` and
`\s`: the library counts accents that stand alone as parts of words, and not every blank of Python's is one of
JavaScript's. So a form has places for both classes, and each program gets it with the characters that Python means.
"""

import re

WORDS = " ?[{word}]+| ?[^{word}{apart}]+|[{apart}]"
"""Words, and runs of other characters, each with the blank before it; every other blank, and the end of a row."""
BETWEEN_BLANKS = " ?[^{apart}]+| ?\n|[{apart}]"
"""What stands between blanks, and ends of lines, each with the blank before it; every other blank."""
BYTE_LEVEL = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+"
    r"|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+"
)
"""The pattern that the library's `ByteLevel` has of its own, for those who have to cut as it does."""


def in_python(form: str) -> re.Pattern[str]:
    """A form, for Python's `re`."""
    return re.compile(form.format(word=r"\w", apart=r"\s\0"))


def elsewhere(form: str) -> str:
    """A form, for what reads Unicode's properties: the library `tokenizers`, and JavaScript with the flag `u`."""
    apart = "\0\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
    return form.format(word=r"\p{L}\p{N}_", apart=apart)
