"""Names of folders that every file system and shell takes."""

import re

LONGEST = 80
_AWKWARD = re.compile(r"[^\w.=+-]+", re.ASCII)


def file_name(label: str) -> str:
    """`precision=32-true compile=none` -> `precision=32-true_compile=none`, of at most `LONGEST` characters."""
    parts = (_AWKWARD.sub("-", part).strip("-") for part in label.split())
    return "_".join(filter(None, parts))[:LONGEST].rstrip("-_.=+") or "row"
