"""Names of folders that every file system and shell takes."""

import re
from collections.abc import Iterable

LONGEST = 80
_AWKWARD = re.compile(r"[^\w.=+-]+", re.ASCII)


def file_name(parts: Iterable[str]) -> str:
    """`["precision=32-true", "compile=none"]` -> `precision=32-true_compile=none`, of at most `LONGEST` characters."""
    words = (_AWKWARD.sub("-", part.replace("'", "")).strip("-") for part in parts)
    return "_".join(filter(None, words))[:LONGEST].rstrip("-_.=+") or "row"
