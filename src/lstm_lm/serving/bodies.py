"""The body of a request: read up to a size and a time, as a JSON object."""

import asyncio
import json
from typing import Any

from starlette.requests import Request

from lstm_lm.serving.refusals import Refused

BYTES_OF_A_CHARACTER = 12
"""At most, in JSON: two escapes of six."""
BESIDES = 1 << 16
"""Bytes for all that is not the text."""
SECONDS = 30.0
"""That a body may take."""
MOST_KEYS = 64
"""Of which each that there is not would be looked up and told."""


async def json_object(request: Request, most_characters: int) -> dict[str, Any]:
    """What the client sent; its text is then still to be measured.

    Raises:
        Refused: it is too long or too slow, or no JSON object.
    """
    most = BYTES_OF_A_CHARACTER * most_characters + BESIDES
    data = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            async for chunk in request.stream():
                data += chunk
                if len(data) > most:
                    raise too_long(most_characters)
    except TimeoutError:
        raise Refused(408, f"the body did not come within {SECONDS:.0f} seconds") from None
    try:
        found = json.loads(bytes(data))
    except (ValueError, RecursionError) as error:  # bytes that are no UTF-8, too, and numbers of thousands of digits
        what = error.msg if isinstance(error, json.JSONDecodeError) else "it cannot be read"
        raise Refused(400, f"the body is no JSON: {what}") from None
    if not isinstance(found, dict):
        raise Refused(400, 'the body is no JSON object, as {"prompt": "Once"} is')
    if len(found) > MOST_KEYS:
        raise Refused(400, f"the body has {len(found):,} keys: there are not so many")
    try:
        json.dumps(found, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:  # which no answer could repeat
        raise Refused(400, "the body has half a character (U+D800 to U+DFFF) in it") from None
    return found


def check_list(key: str, found: Any, most: int) -> None:
    """Refuse a list that is too long, or not of texts, at once: not item by item, which for a long one takes seconds.

    Raises:
        Refused: it is; what is no list is checked elsewhere.
    """
    if not isinstance(found, list):
        return
    if len(found) > most:
        raise Refused(400, f"{key}: {len(found):,} are too many; this server takes {most:,}")
    if not all(isinstance(one, str) for one in found):
        raise Refused(400, f"{key}: must be a text, or a list of texts; tokens are not taken")


def check_length(texts: list[str], most: int) -> None:
    """Refuse more characters than the server takes.

    Raises:
        Refused: there are more.
    """
    if sum(map(len, texts)) > most:
        raise too_long(most)


def too_long(most: int) -> Refused:
    """The refusal of a text."""
    return Refused(413, f"the text is too long: this server takes {most:,} characters (max_characters)")
