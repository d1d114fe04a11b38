"""With what error a command failed, for whoever runs it as a row of a sweep or study (`errors.ERROR_FILE`)."""

import contextlib
import json
import os
import traceback
from pathlib import Path

from lstm_lm.device_memory import lacks_memory
from lstm_lm.errors import ERROR_FILE, Unavailable
from lstm_lm.printable import shown


def write_error_file(error: Exception, text: str | None) -> bool:
    """Write down `error`, as `text`, or in one line with its traceback, where somebody has asked for it.

    Of several errors (each of a run's processes may have one) the first counts. Gives whether somebody has.
    """
    path = os.environ.get(ERROR_FILE)
    if path is None:
        return False
    full = None
    if text is None:
        cause = " ".join(str(error).split())
        text = shown(f"{type(error).__name__}: {cause}" if cause else type(error).__name__)
        full = "".join(traceback.format_exception(error))
    short = lacks_memory(error)
    content = {
        "unavailable": short or isinstance(error, Unavailable),
        "text": f"not enough memory: {text}" if short and not text.startswith("not enough memory") else text,
        "traceback": full,
    }
    with contextlib.suppress(OSError), Path(path).open("x", encoding="utf-8") as file:
        json.dump(content, file)
    return True
