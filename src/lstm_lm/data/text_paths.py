"""From what `data.path` says to the files it means."""

import glob
import hashlib
import logging
import os
import stat
import sys
from pathlib import Path
from typing import TextIO
from weakref import WeakKeyDictionary

from lstm_lm import unfinished
from lstm_lm.data import packed, tables
from lstm_lm.data.cache_folder import writing_below
from lstm_lm.data.text_files import FileText
from lstm_lm.data.text_source import PIECE_BYTES
from lstm_lm.errors import UserError
from lstm_lm.printable import printable
from lstm_lm.renaming import rename

STANDARD_INPUT = "-"
TEXT_SUFFIXES = (".txt", ".md", ".rst")

log = logging.getLogger(__name__)

# Standard input can be read once; the jobs of a sweep, one process, all want it.
_spooled: WeakKeyDictionary[TextIO, Path] = WeakKeyDictionary()


def text_at(
    path: str | list[str], encoding: str, cache: Path, key: str = "data.path", column: str | None = None
) -> FileText:
    """The text that `path` names.

    Args:
        path: a file; a folder (every .txt, .md and .rst file below it, packed too, hidden ones left out; with a
            `column`, every table); a glob (`**` goes through folders); a list of these; or "-", standard input, which
            is copied below `cache` first.
        encoding: of the files.
        cache: folder for the copy of standard input.
        key: the option that named the path, for messages.
        column: of tables, the one whose rows are the text.

    Raises:
        UserError: nothing is there, it cannot be read, or it is empty; it is no table, or has no such column.
    """
    names = [path] if isinstance(path, str) else path
    if STANDARD_INPUT in names:
        if len(names) > 1:
            raise UserError(f"{key}: - (standard input) cannot be one of several texts\nname files only, or - alone")
        if column is not None:
            raise rows_of_standard_input(key)
        return FileText([_spool(cache / "stdin", key)], encoding, key)
    suffixes = TEXT_SUFFIXES if column is None else tables.SUFFIXES
    files = [file for name in names for file in _files(name, key, suffixes)]
    if not files:
        raise UserError(f"{key}=[]: names no text\ngive it at least one file, folder or glob")
    text = FileText(files, encoding, key, column)
    if column is None:
        _tell_of_tables(text)
    return text


def rows_of_standard_input(key: str) -> UserError:
    """The refusal of a column in what has no name to tell the kind of table by."""
    return UserError(
        f"{key}=-: data.column is of tables, whose kind their names say\nname files ({', '.join(tables.SUFFIXES)})"
    )


def _tell_of_tables(text: FileText) -> None:
    """Who names a table may have meant its rows."""
    for path in text.paths:
        if (kind := tables.kind_of(path)) is not None:
            found = tables.columns_of_text(kind, path, text.decode(path))
            if found:
                said = "%s: read as running text; data.column=NAME would make each row a document (columns of text: %s)"
                log.warning(said, printable(str(path)), found)
            return


def standard_input(key: str) -> TextIO:
    """What is piped into this process.

    Raises:
        UserError: nothing is.
    """
    stream = sys.stdin
    if stream is None or stream.closed or stream.isatty():
        raise UserError(f"{key}=-: nothing is piped into standard input\npipe a text in: cat FILE | COMMAND")
    return stream


def _files(name: str, key: str, suffixes: tuple[str, ...]) -> list[Path]:
    if not name.strip():
        raise UserError(f"{key}={name!r}: names no text\nname a file, a folder, a glob, or - for standard input")
    path = Path(os.path.expanduser(name))
    try:  # not path.exists(), which from Python 3.14 on says False where it cannot look
        return _below(path, key, suffixes) if stat.S_ISDIR(path.stat().st_mode) else [path]
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a zero character in it
        pass
    except OSError as error:  # a name too long, or not ours to look at
        if not glob.has_magic(name):  # which Windows refuses in a name
            raise UserError(f"{key}={name!r:.200}: not a usable path: {error!s:.100}") from None
    if glob.has_magic(name):
        found = [Path(match) for match in glob.glob(str(path), recursive=True)]
        if files := [match for match in found if match.is_file()]:
            return files
        raise UserError(f"{key}={name!r}: no file matches\nlooked from {Path.cwd()}")
    raise UserError(f"{key}={name!r}: no such file or folder\nlooked from {Path.cwd()}")


def _below(folder: Path, key: str, suffixes: tuple[str, ...]) -> list[Path]:
    files = [
        file
        for file in folder.rglob("*")
        if packed.unpacked_name(file).suffix.lower() in suffixes
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]
    if not files:
        raise UserError(
            f"{key}={str(folder)!r}: no text files in this folder (looked for {', '.join(suffixes)})\n"
            f"files with other endings are taken by a glob: {key}='{folder}/**/*.ENDING'"
        )
    return files


def _spool(folder: Path, key: str) -> Path:
    """Copy standard input to a file named by its SHA-256, so that it can be read more than once."""
    stream = standard_input(key)
    if (known := _spooled.get(stream)) is not None and known.exists():
        return known
    digest = hashlib.sha256()
    with writing_below(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob("*.part"):
            unfinished.remove_if_abandoned(left)
        temporary = folder / f"{unfinished.unique()}.part"
        try:
            with unfinished.new_file(temporary) as copy:
                while chunk := stream.buffer.read(PIECE_BYTES):
                    digest.update(chunk)
                    copy.write(chunk)
                if copy.tell() == 0:
                    raise UserError(f"{key}=-: standard input is empty\npipe a text in: cat FILE | COMMAND")
                copy.close()
                spooled = folder / f"{digest.hexdigest()}.txt"
                rename(temporary, spooled)
        finally:
            temporary.unlink(missing_ok=True)
    _spooled[stream] = spooled
    return spooled
