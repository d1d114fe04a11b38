"""`evaluation.json`: one section per method of evaluation, each the last one's result."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from lstm_lm.errors import UserError
from lstm_lm.runs import atomic
from lstm_lm.runs.json_file import read_json

SCHEMA_VERSION = 1


def read(path: Path) -> dict[str, Any]:
    """All sections, by the name of their method; none where there is no such file.

    Raises:
        UserError: the file cannot be read, or is not what `put` writes.
    """
    try:
        content = read_json(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError:
        raise UserError(f"{path}: damaged: it is not JSON\nmove it away, and evaluate again") from None
    if not isinstance(content, dict) or not all(isinstance(section, dict) for section in content.values()):
        raise UserError(f"{path}: not a file of evaluations\nmove it away, and evaluate again")
    return content


def put(path: Path, method: str, section: Mapping[str, Any]) -> None:
    """Make `section` what the file says of `method`; other methods' sections stay. All or nothing.

    Raises:
        UserError: as `read`.
        RunError: the file cannot be written.
    """
    with FileLock(path.with_name(f".{path.name}.lock")):  # others may be evaluating this run
        content = {**read(path), method: {"schema_version": SCHEMA_VERSION, **section}}
        atomic.write_text(path, json.dumps(_finite(content), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null stands for them, as in summary.json."""
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
