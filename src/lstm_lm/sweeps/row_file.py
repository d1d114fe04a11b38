"""`row.json`: what a row's hash stands for, beside its runs; so that what has been changed since can be named."""

import glob
import json
from pathlib import Path
from typing import Any

from lstm_lm.runs import atomic
from lstm_lm.sweeps.names import file_name
from lstm_lm.sweeps.rows import KEY_LENGTH, Row

ROW_FILE = "row.json"


def write_row(row: Row, folder: Path) -> None:
    """Say in the row's folder what it is.

    Raises:
        RunError: the file cannot be written.
    """
    atomic.write_text(folder / ROW_FILE, json.dumps(row.identity(), indent=2) + "\n")


def what_changed(row: Row, rows: Path) -> list[str]:
    """In what the newest row of the same name below `rows` was another than `row`; none: there is none.

    Each as `text train: 0123456789ab then, ba9876543210 now`.
    """
    name = file_name(row.label)
    others = [
        path
        for path in rows.glob(f"{glob.escape(name)}_{'?' * KEY_LENGTH}/{ROW_FILE}")
        if not path.parent.name.endswith(f"_{row.key}")
    ]
    if not others:
        return []
    try:
        then = json.loads(max(others, key=lambda path: path.stat().st_mtime_ns).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    if not isinstance(then, dict):
        return []
    now = row.identity()
    return [
        f"{key}: {_shown(then.get(key))} then, {_shown(now.get(key))} now"
        for key in dict.fromkeys([*now, *then])
        if then.get(key) != now.get(key)
    ]


def _shown(value: Any) -> str:
    return value[:12] if isinstance(value, str) and len(value) == 64 else str(value)
