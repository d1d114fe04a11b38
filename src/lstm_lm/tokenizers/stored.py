"""Check what a stored tokenizer (`Tokenizer.to_json`, read from a checkpoint or a cache) holds."""

from collections.abc import Mapping
from typing import Any

from lstm_lm.errors import UserError


def malformed(name: str, what: str) -> UserError:
    """The error for stored data of the tokenizer `name` that is not what `to_json` writes."""
    return UserError(
        f"the stored {name} tokenizer is malformed: {what}\n"
        "the file that holds it is damaged or was made by something else: use another checkpoint"
    )


def fields(data: Mapping[str, Any], name: str, *keys: str) -> list[Any]:
    """The values of `keys` in `data`, which must hold the tokenizer `name`, just those keys, and no others.

    Raises:
        UserError: it does not.
    """
    if not isinstance(data, Mapping):
        raise malformed(name, "it is not a mapping of keys to values")
    if data.get("name") != name:
        raise malformed(name, "its name is another")
    if set(data) != {"name", *keys}:
        raise malformed(name, f"its keys must be {', '.join(['name', *keys])}")
    return [data[key] for key in keys]


def utf8(text: str, name: str) -> bytes:
    """`text` in UTF-8.

    Raises:
        UserError: it holds a lone surrogate.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise malformed(name, "it holds a lone surrogate, which is no character") from None
