"""Free text and paths on the command line, quoted before Hydra's grammar sees them.

Hydra reads the right side of `KEY=VALUE` as a small language with numbers, lists, functions and interpolations:
`prompt="What's this"` is a syntax error to it, and `prompt=42` a number. A prompt or a path is nobody's program, so for
the keys that hold one, the characters that were typed are the characters that arrive.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString

_OVERRIDE = re.compile(r"(?P<prefix>~|\+{0,2})(?P<key>[^=@]+)(?P<package>@[^=]*)?=(?P<value>.*)", re.DOTALL)
_INTERPOLATION = re.compile(r"(\\*)\$\{")
_ESCAPED = re.compile(r"(\\*)\\\$\{")
_QUOTED_ITEM = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""", re.DOTALL)
_BLANKS = " \t"

_NULL = "null"
_MISSING = "???"
_MISSING_AS_TEXT = f"""${{oc.decode:"'{_MISSING}'"}}"""
"""OmegaConf's mark for a value that is not there; as a text it hides in an expression that yields it."""


class FreeText(Enum):
    """What the value of a key is, and so which characters in it still mean something."""

    TEXT = auto()
    """Text: nothing does; even `null` is text."""
    TEXTS = auto()
    """Text, or a list of texts, `[a,b]`; or `null`."""
    PATH = auto()
    """A path, or a list of paths, `[a,b]`, and in a sweep several of these, `a,b`: unless a file has just that name.

    Or `null`. `~` is the user's home, as a shell would have it. Quotes around the whole, which Hydra's own
    documentation recommends, are taken off.
    """
    HYDRA_PATH = auto()
    """A path that Hydra fills in: `~`, `${now:%H-%M}` and other interpolations work."""


_MODEL = {"run": FreeText.PATH, "ckpt_path": FreeText.PATH, "runs_dir": FreeText.PATH}
_TEXTS = {
    "data.path": FreeText.PATH,
    "data.validation_path": FreeText.PATH,
    "data.test_path": FreeText.PATH,
    "data.cache_dir": FreeText.PATH,
    "data.separator": FreeText.TEXT,
    "data.column": FreeText.TEXTS,
}

FREE_TEXT: Mapping[str, Mapping[str, FreeText]] = {
    "train": {
        **_TEXTS,
        "ckpt_path": FreeText.PATH,
        "init_from": FreeText.PATH,
        "study.dir": FreeText.PATH,
        "hydra.run.dir": FreeText.HYDRA_PATH,
        "hydra.sweep.dir": FreeText.HYDRA_PATH,
        "callbacks.samples.prompt": FreeText.TEXT,
    },
    "generate": {
        "prompt": FreeText.TEXT,
        "stop": FreeText.TEXTS,
        "prompt_file": FreeText.PATH,
        **_MODEL,
    },
    "evaluate": {
        "method.prompt": FreeText.TEXT,
        **_TEXTS,
        **_MODEL,
    },
    "score": {
        "data.path": FreeText.PATH,
        "data.column": FreeText.TEXTS,
        "out": FreeText.PATH,
        "html": FreeText.PATH,
        **_MODEL,
    },
    "runs": {
        "runs_dir": FreeText.PATH,
        "runs": FreeText.PATH,
        "where.status": FreeText.TEXTS,
        "where.data": FreeText.TEXTS,
        "where.model": FreeText.TEXTS,
        "where.folder": FreeText.TEXTS,
        "where.match": FreeText.TEXTS,
        "sort": FreeText.TEXT,
        "diff": FreeText.PATH,
        "plot": FreeText.PATH,
        "metric": FreeText.TEXT,
        "title": FreeText.TEXT,
    },
    "embed": {
        "data.path": FreeText.PATH,
        "data.column": FreeText.TEXTS,
        "out": FreeText.PATH,
        **_MODEL,
    },
    "export": {
        "out": FreeText.PATH,
        "format.title": FreeText.TEXT,
        "format.prompt": FreeText.TEXT,
        **_MODEL,
    },
    "serve": {
        "host": FreeText.TEXT,
        **_MODEL,
    },
}
"""By the name of the configuration, a file at the top of `conf/`."""


def quote_overrides(overrides: Iterable[str], keys: Mapping[str, FreeText], *, multirun: bool) -> list[str]:
    """The `overrides` with the values of `keys` quoted for Hydra; those of other keys are left as they are."""
    return [_quote_override(override, keys, multirun) for override in overrides]


def _quote_override(override: str, keys: Mapping[str, FreeText], multirun: bool) -> str:
    match = _OVERRIDE.fullmatch(override)
    kind = keys.get(match["key"]) if match else None
    if match is None or kind is None:
        return override
    start = f"{match['prefix']}{match['key']}{match['package'] or ''}="
    return start + _quote_value(match["value"], kind, multirun)


def _quote_value(value: str, kind: FreeText, multirun: bool) -> str:
    if kind is FreeText.TEXT:
        return quote_text(value)
    if value.lower() == _NULL:
        return _NULL
    if kind is FreeText.TEXTS:
        return _list_of_texts(value) if _is_list(value) else quote_text(value)
    if kind is FreeText.HYDRA_PATH:
        return _quoted(os.path.expanduser(_unquoted(value)))
    if os.path.lexists(value):
        return quote_text(value)
    if multirun and len(parts := _split(value)) > 1:
        return ",".join(_quote_value(part, kind, multirun=False) for part in parts)
    if _is_list(value):
        return _list_of_texts(value, os.path.expanduser)
    return quote_text(os.path.expanduser(_unquoted(value)))


def quote_text(text: str) -> str:
    """`text` so that first Hydra and then OmegaConf make `text` of it again."""
    if text == _MISSING:
        return _quoted(_MISSING_AS_TEXT)
    return _quoted(_INTERPOLATION.sub(r"\1\1\\${", text))


def unquote_text(value: str) -> str:
    """The text of a parsed value that `quote_text` made."""
    if value == _MISSING_AS_TEXT:
        return _MISSING
    return _ESCAPED.sub(lambda found: "\\" * (len(found[1]) // 2) + "${", value)


def _quoted(text: str) -> str:
    return QuotedString(text, Quote.single).with_quotes()


def _is_list(value: str) -> bool:
    return value.startswith("[") and value.endswith("]") and len(value) > 1


def _list_of_texts(value: str, change: Callable[[str], str] = str) -> str:
    inside = value[1:-1]
    items = _split(inside) if inside.strip(_BLANKS) else []
    return "[" + ",".join(quote_text(change(_unquoted(item))) for item in items) + "]"


def _split(value: str) -> list[str]:
    """`value` cut at its commas, but for those inside a list or an item that is quoted; blanks around items go."""
    items: list[str] = []
    start, position, depth = 0, 0, 0
    while position <= len(value):
        at_start = not value[start:position].strip(_BLANKS)
        if at_start and (quoted := _QUOTED_ITEM.match(value, position)):
            after = value[quoted.end() :].lstrip(_BLANKS)
            if after[:1] in ("", ","):
                position = quoted.end()
                continue
        character = value[position : position + 1]
        depth += {"[": 1, "]": -1}.get(character, 0)
        if character == "" or (character == "," and depth <= 0):
            items.append(value[start:position].strip(_BLANKS))
            start, depth = position + 1, 0
        position += 1
    return items


def _unquoted(value: str) -> str:
    """What is inside, where `value` is one string in Hydra's quotes; else `value`."""
    if not _QUOTED_ITEM.fullmatch(value):
        return value
    parsed = OverridesParser.create().parse_rule(value, "primitive")
    return parsed.text if isinstance(parsed, QuotedString) else value
