"""The version of the code that computes: figures of another one are another's, and are not taken for this one's."""

import ast
import hashlib
import platform
from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

import lstm_lm

ONLY_SHOWS = frozenset({"cli", "reports", "runs", "sweeps"})
"""Folders of the package that start, record, list and draw runs: no figure depends on them."""
COMPUTES = ("torch", "lightning", "numpy", "tokenizers")
"""Packages that figures depend on."""
_SHOWN_DIGITS = 12


@cache
def code_version() -> dict[str, str]:
    """By name, what this process computes with: this project and the digest of its source, Python, `COMPUTES`.

    Taken once: a file that is edited later is not what this process runs.
    """
    found = {
        "lstm-lm": lstm_lm.__version__,
        "source": _source_now(),
        "python": ".".join(platform.python_version_tuple()[:2]),
    }
    return found | {name: metadata.version(name) for name in COMPUTES}


def is_edited() -> bool:
    """Whether the source is another one than `code_version` found: a process that begins now computes with that."""
    return _source_now() != code_version()["source"]


def _source_now() -> str:
    return source_digest(Path(lstm_lm.__file__).parent)[:_SHOWN_DIGITS]


def source_digest(package: Path) -> str:
    """SHA-256, hex, of what the package's modules do: of their syntax trees, without comments and docstrings.

    Folders in `ONLY_SHOWS` are left out. A module that cannot be parsed counts with its bytes.
    """
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py"), key=lambda path: path.relative_to(package).as_posix()):
        where = path.relative_to(package)
        if where.parts[0] in ONLY_SHOWS:
            continue
        digest.update(f"{where.as_posix()}\n".encode("utf-8", "surrogateescape"))
        digest.update(_what_it_does(path.read_bytes()))
    return digest.hexdigest()


def code_differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Each part that differs, as `code, torch: 2.9.0 then, 2.10.0 now`."""
    return [
        f"code, {name}: {then.get(name)} then, {now.get(name)} now"
        for name in dict.fromkeys([*then, *now])
        if then.get(name) != now.get(name)
    ]


@cache
def _what_it_does(source: bytes) -> bytes:
    """Its digest; kept, since parsing all of the package once more takes as long as a short run."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return hashlib.sha256(source).digest()
    words: list[str] = []
    _write(tree, words.append)
    return hashlib.sha256("\n".join(words).encode("utf-8", "surrogatepass")).digest()


def _write(tree: object, word: Callable[[str], object]) -> None:
    """All of a syntax tree but texts that stand alone and do nothing: docstrings, of a constant too.

    `ast.walk` and `ast.dump` would take twice as long, and a run's first step waits for this.
    """
    if isinstance(tree, ast.AST):
        word(type(tree).__name__)
        for field in tree._fields:
            _write(getattr(tree, field, None), word)
    elif isinstance(tree, list):
        word("[")
        for node in tree:
            if not _is_docstring(node):
                _write(node, word)
        word("]")
    else:
        word(repr(tree))


def _is_docstring(line: object) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)
