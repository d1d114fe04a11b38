"""Which runs of a list, and in which order."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import Any

from lstm_lm.errors import UserError
from lstm_lm.runs.listing import Entry

ALIASES = {"size": "parameters", "speed": "tokens_per_second", "bpb": "bits_per_byte"}
"""Short names for what runs are sorted by."""
AGE = "age"
SORTABLE = sorted({field.name for field in fields(Entry)} - {"path", "reason", "command"} | {*ALIASES, AGE})


@dataclass(frozen=True)
class Where:
    """What a run must be; of several alternatives in a field, any; an empty field lets all through.

    `status`, `data` and `model` are names, with `*` and `?` as in a shell; `data` a file's, too.
    """

    status: Sequence[str] = ()
    data: Sequence[str] = ()
    model: Sequence[str] = ()
    folder: Sequence[str] = ()
    """Folders below the one that was searched, or paths: the run lies in one, at any depth."""
    match: Sequence[str] = ()
    """Parts of its path or of the command that started it; upper and lower case are the same."""

    def takes(self, entry: Entry) -> bool:
        """Whether `entry` is among what is wanted."""
        searched = f"{entry.path}\n{entry.command or ''}".casefold()
        return (
            _is_any(entry.status, self.status)
            and (_is_any(entry.data, self.data) or _is_any(entry.title, self.data))
            and _is_any(entry.model, self.model)
            and (not self.folder or any(_lies_in(entry, folder) for folder in self.folder))
            and (not self.match or any(text.casefold() in searched for text in self.match))
        )


def select(entries: Iterable[Entry], where: Where, order: str) -> list[Entry]:
    """Those that `where` takes, sorted by `order`: a field's name, `-` before it for the largest first.

    Entries without a value come last, either way; `age` is the youngest first. Ties: the youngest first.

    Raises:
        UserError: there is no such field.
    """
    name = order.removeprefix("-")
    if name not in SORTABLE:
        raise UserError(f"sort={order}: cannot be sorted by\nchoose one of: {', '.join(SORTABLE)}; or -NAME")
    value = _age if name == AGE else _field(ALIASES.get(name, name))
    taken = sorted(filter(where.takes, entries), key=lambda entry: (-entry.modified, entry.run))
    known = [entry for entry in taken if value(entry) is not None]
    known.sort(key=value, reverse=order.startswith("-"))
    return known + [entry for entry in taken if value(entry) is None]


def of_one_text(entries: Sequence[Entry]) -> list[Entry]:
    """Those on the text of the newest whose text is known, by its names; of which it is not known stay, too."""
    known = [entry for entry in entries if entry.data is not None]
    if not known:
        return list(entries)
    newest = max(known, key=lambda entry: entry.modified)
    return [entry for entry in entries if entry.data is None or _text(entry) == _text(newest)]


def _text(entry: Entry) -> tuple[str | None, str | None]:
    return entry.data, entry.title


def _field(name: str) -> Callable[[Entry], Any]:
    def value(entry: Entry) -> Any:
        found = getattr(entry, name)
        return found.casefold() if isinstance(found, str) else found

    return value


def _age(entry: Entry) -> float:
    return -entry.modified


def _is_any(value: str | None, wanted: Sequence[str]) -> bool:
    return not wanted or any(fnmatchcase(value or "", pattern) for pattern in wanted)


def _lies_in(entry: Entry, folder: str) -> bool:
    return PurePath(entry.run).is_relative_to(folder) or entry.path.is_relative_to(folder)
