"""What somebody may copy from a message into a shell."""

import re
import shlex
from pathlib import Path

_PLAIN = re.compile(r"[\w@%+=:,./-]+")
_NOT_BETWEEN_DOUBLE_QUOTES = re.compile(r'["$`!]|\\\\|\\\Z')
"""What means something between them, too."""


def shell_word(text: str) -> str:
    """`text` as one word of a command: between double quotes, which every shell takes, where these are enough."""
    if _PLAIN.fullmatch(text):
        return text
    return shlex.quote(text) if _NOT_BETWEEN_DOUBLE_QUOTES.search(text) else f'"{text}"'


def short_path(path: Path) -> str:
    """As a person would type it: relative to the current directory, where it lies there; whole, where it is that."""
    whole, here = path.resolve(), Path.cwd()
    if whole == here:
        return str(whole)
    return str(whole.relative_to(here) if whole.is_relative_to(here) else path)
