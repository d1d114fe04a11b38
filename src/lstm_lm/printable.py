"""Text that somebody else may have written, as a terminal may have it: what it would obey is shown, not sent.

Escape sequences, other control characters, C1's among them, and characters that turn the direction of what follows.
"""

import unicodedata

_HARMLESS = {"Zs", "Co", "Cn"}
"""Categories that `isprintable` refuses, and no terminal obeys: spaces of all kinds, what fonts make of their own."""
_JOINERS = "\u200c\u200d"
"""Which Persian, Indian scripts and pictures of several parts need."""
LONGEST_SHOWN = 100
"""Characters of a value that a person typed, in a message."""
LONGEST_CAUSE = 200


def printable(text: str) -> str:
    r"""`text` on one line, everything escaped that would not show: `\x1b[2J`. Of names and messages."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else escaped(character) for character in text)


def printable_text(text: str) -> str:
    """`text` with its lines and tabs, everything escaped that a terminal would obey. Of what a model writes."""
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n")  # of Windows, which a terminal shows alike
    return "".join(character if _shows(character) else escaped(character) for character in text)


def shown(text: str) -> str:
    """A value that a person typed, for a message: on one line, and not too long."""
    return shortened(printable(text), LONGEST_SHOWN)


def shortened(text: str, most: int) -> str:
    """`text`, its middle left out where it has more than `most` characters."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def cause_of(error: BaseException) -> str:
    """The first line of what an error says, or its type where it says nothing."""
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return (lines or [type(error).__name__])[0][:LONGEST_CAUSE]


def escaped(character: str) -> str:
    r"""As Python writes it: `\n`, `\x1b`, `\u202e`."""
    return character.encode("unicode_escape").decode("ascii")


def _shows(character: str) -> bool:
    return (
        character.isprintable()
        or character in "\n\t"
        or character in _JOINERS
        or unicodedata.category(character) in _HARMLESS
    )
