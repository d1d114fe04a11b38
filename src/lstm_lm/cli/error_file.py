"""With what error a command failed, for the study whose row it ran (`errors.ERROR_FILE`)."""

import json
import os
from pathlib import Path

from lstm_lm.cli.wording import shown
from lstm_lm.device_memory import lacks_memory
from lstm_lm.errors import ERROR_FILE, Unavailable


def leave_word(error: Exception, text: str | None) -> None:
    """Write down `error`, as `text` or in one line, where somebody has asked for it."""
    path = os.environ.get(ERROR_FILE)
    if path is None:
        return
    short = lacks_memory(error)
    if text is None:
        cause = " ".join(str(error).split())
        text = shown(f"{type(error).__name__}: {cause}" if cause else type(error).__name__)
    told = {
        "unavailable": short or isinstance(error, Unavailable),
        "text": f"not enough memory: {text}" if short and not text.startswith("not enough memory") else text,
    }
    Path(path).write_text(json.dumps(told), encoding="utf-8")
