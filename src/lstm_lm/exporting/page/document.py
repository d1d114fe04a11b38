"""The page itself: its sources joined with a model, and read again. It runs what is in it, and loads nothing."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from html import escape
from importlib import resources
from typing import Any, NamedTuple

SCRIPTS = ("engine.js", "tokenizers.js", "text.js", "view.js")
_PLACE = re.compile(r"@([A-Z]+)@")
_DATA = re.compile(r'<script type="application/json" id="model">([^<]*)</script>')
_WEIGHTS = re.compile(r'<script type="text/plain" id="weights">([^<]*)</script>')


class Contents(NamedTuple):
    """What a page is made of, besides its sources."""

    title: str
    summary: str
    """One line about the model."""
    prompt: str
    about: tuple[str, ...]
    """Paragraphs about how it was made."""
    data: Mapping[str, Any]
    """What the scripts read: plain data."""
    weights: str
    """Base64."""


def page(contents: Contents) -> str:
    """The whole file."""
    style, script = _source("page.css"), '"use strict";\n' + "\n".join(map(_source, SCRIPTS))
    # Nothing but these two runs, whatever a text of the run says; and nothing is fetched.
    policy = f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}"
    # No "<" in the data, or a token `</script>` would end it.
    data = json.dumps(contents.data, ensure_ascii=True, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    places = {
        "POLICY": policy,
        "TITLE": escape(contents.title),
        "SUMMARY": escape(contents.summary),
        "PROMPT": "\n" + escape(contents.prompt),  # HTML leaves out a newline that comes first
        "ABOUT": "\n    ".join(f"<p>{escape(paragraph)}</p>" for paragraph in contents.about),
        "STYLE": style,
        "SCRIPT": script,
        "MODEL": data,
        "WEIGHTS": contents.weights,
    }
    return _PLACE.sub(lambda place: places[place[1]], _source("page.html"))


def read_page(text: str) -> tuple[Any, str]:
    """The data and the weights, in base64, of a page.

    Raises:
        ValueError: it is none.
    """
    data, weights = _DATA.search(text), _WEIGHTS.search(text)
    if data is None or weights is None:
        raise ValueError("this is no page that writes")
    return json.loads(data[1]), weights[1]


def _source(name: str) -> str:
    return resources.files(__package__).joinpath("source", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """By which a browser knows a script or style that may be used."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"
