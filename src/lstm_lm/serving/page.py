"""What a browser is shown: the page that writes by itself, where it can be made; else one that has the server write."""

import base64
import hashlib
import tempfile
from html import escape
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from lstm_lm.errors import UserError
from lstm_lm.exporting.formats.html import PAGE, Html
from lstm_lm.models.loading import Loaded
from lstm_lm.serving.completion import model_name


class Page(NamedTuple):
    """A page, and what a browser may do for it (None: the page says that itself)."""

    html: str
    policy: str | None


def page_of(loaded: Loaded) -> Page:
    """The page for a model, in float32 on the CPU; takes seconds, since units are measured for it."""
    chosen = Html.parse({"name": "html", "weights": "float16", "title": None, "prompt": ""}, "format")
    try:
        chosen.refuse(loaded)
        model = chosen.rounded(loaded)
    # another backbone or tokenizer, too large, or no weights for float16: the browser does not get the model
    except UserError:
        return _asking(loaded)
    with tempfile.TemporaryDirectory() as folder:
        chosen.write(loaded, model, Path(folder))
        return Page((Path(folder) / PAGE).read_text(encoding="utf-8"), None)


def _asking(loaded: Loaded) -> Page:
    source = resources.files(__package__).joinpath("writing_page.html").read_text(encoding="utf-8")
    html = source.replace("@TITLE@", escape(model_name(loaded)))
    style, script = (html.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0] for tag in ("style", "script"))
    allowed = "; ".join(f"{kind}-src {_digest(text)}" for kind, text in (("style", style), ("script", script)))
    return Page(html, f"default-src 'none'; connect-src 'self'; img-src data:; {allowed}")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"
