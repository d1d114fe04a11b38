"""`data=python_names`: the public names of Python's standard library, one a line. Nothing to download."""

import ast
import hashlib
import os
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

from lstm_lm import unfinished
from lstm_lm.data.cache_folder import writing_below
from lstm_lm.data.corpora.interface import Corpus, CorpusOptions, CorpusText, NoPathOptions
from lstm_lm.data.text_source import StringText
from lstm_lm.errors import UserError
from lstm_lm.renaming import rename

LEFT_OUT = frozenset({"ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tests", "turtledemo", "encodings"})
"""Modules and folders whose names are those of tests, of programs, or of tables that were generated."""
VERSION = "1"
"""Of the rule by which names are found: part of what a kept list is known by."""


class PythonNames(Corpus):
    """7,000 functions, classes, methods and constants (Python 3.11), in alphabetical order, each once."""

    OptionsType: ClassVar[type[CorpusOptions]] = NoPathOptions

    def load(self) -> CorpusText:
        """The names that the library's sources define; of sources that were read before, as they were kept then.

        Raises:
            UserError: this Python was installed without its sources; the cache folder cannot be written.
            RunError: the disk is full.
        """
        sources = [path.read_bytes() for path in _files(Path(sysconfig.get_paths()["stdlib"]))]
        digest = hashlib.sha256(VERSION.encode())
        for source in sources:
            digest.update(hashlib.sha256(source).digest())
        kept = self.cache / "python_names" / f"{digest.hexdigest()[:32]}.txt"
        if not kept.is_file():
            names = sorted(set(_names(sources)))
            if not names:
                raise UserError(
                    "data=python_names: this Python was installed without the sources of its standard library\n"
                    "use lines of your own: data=text data.path=FILE data.unit=line"
                )
            _keep(kept, "".join(f"{name}\n" for name in names))
        text = StringText(kept.read_text(encoding="utf-8"), "the names of Python's standard library")
        return CorpusText("python_names", {"train": text}, self.options.fractions())


def _files(root: Path) -> Iterator[Path]:
    """The sources of the public modules below `root`, in an order that is the same everywhere."""
    for name in sorted(sys.stdlib_module_names - LEFT_OUT):
        if (file := root / f"{name}.py").is_file() and not name.startswith("_"):
            yield file
        elif not name.startswith("_"):
            for path in sorted((root / name).rglob("*.py")):
                parts = [part for part in path.relative_to(root).with_suffix("").parts if part != "__init__"]
                if not any(part.startswith("_") or part in LEFT_OUT for part in parts):
                    yield path


def _names(sources: Iterable[bytes]) -> Iterator[str]:
    for source in sources:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in strings, which are the library's affair
            try:
                tree = ast.parse(source)
            except (SyntaxError, ValueError):  # a template, say
                continue
        yield from _defined(tree.body)


def _defined(body: Iterable[ast.stmt]) -> Iterator[str]:
    """What the statements of a module or class define: all that is public, of other names the constants alone."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name
            if isinstance(node, ast.ClassDef):
                yield from _defined(node.body)
        elif isinstance(node, (ast.If, ast.Try)):
            yield from _defined([*node.body, *node.orelse])
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = (target.id for target in targets if isinstance(target, ast.Name))
            yield from (name for name in names if name.isupper() and not name.startswith("_"))


def _keep(file: Path, text: str) -> None:
    """Have the list be there, whole or not at all."""
    with writing_below(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name(f"{file.name}.{unfinished.unique()}")
        try:
            with new.open("w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            rename(new, file)
        finally:
            new.unlink(missing_ok=True)


CORPUS = PythonNames
