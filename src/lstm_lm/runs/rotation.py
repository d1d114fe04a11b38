"""The newest checkpoint and those before it: `last.ckpt`, `last-1.ckpt`, `last-2.ckpt`, ...

A run continues from the newest of them that is whole, so one damaged file costs the steps since the one before.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from lstm_lm.renaming import remove, rename
from lstm_lm.runs import atomic
from lstm_lm.runs.directory import RunDirectory

DAMAGED = ".damaged"
"""What is appended to the name of a checkpoint that nothing can be continued from."""


def earlier(last: Path, age: int) -> Path:
    """Where the checkpoint lies that was `last` `age` writes ago; 0: `last` itself."""
    return last if age == 0 else last.with_name(f"{last.stem}-{age}{last.suffix}")


def existing(last: Path) -> list[Path]:
    """`last` and those before it that are there, the newest first."""
    found: dict[int, Path] = {0: last} if last.exists() else {}
    for path in last.parent.glob(f"{last.stem}-*{last.suffix}"):
        age = path.stem.removeprefix(f"{last.stem}-")
        if age.isascii() and age.isdecimal() and int(age) > 0:
            found[int(age)] = path
    return [found[age] for age in sorted(found)]


def make_room(last: Path, keep: int) -> None:
    """Move each checkpoint up by one, so that `last` can be replaced and `keep` of them are there afterwards.

    `last` itself stays until it is replaced: at no moment is there none. Where the file system knows no second name for
    a file, it is renamed, and for that moment `last-1.ckpt` is the newest.

    Raises:
        OSError: the file system refused.
    """
    if not last.exists():
        return
    for path in existing(last):
        if path != last and int(path.stem.removeprefix(f"{last.stem}-")) >= keep - 1:
            remove(path)
    if keep < 2:
        return
    for age in range(keep - 2, 0, -1):
        with contextlib.suppress(FileNotFoundError):
            rename(earlier(last, age), earlier(last, age + 1))
    try:
        os.link(last, earlier(last, 1))
    except OSError:
        rename(last, earlier(last, 1))


def take_over(run: RunDirectory, used: Path, *, newer_are_damaged: bool) -> None:
    """Make `used` the newest checkpoint of `run`, which continues from it: what came after it is forgotten.

    Raises:
        RunError: the file system refused.
    """
    try:
        if newer_are_damaged:
            set_aside(run.last, used)
        elif (there := existing(run.last)) and not used.samefile(there[0]):
            forget(path for path in there[1:] if not used.samefile(path))  # first: last.ckpt must not precede any
            with used.open("rb") as source, atomic.replacing(run.last) as file:
                shutil.copyfileobj(source, file)
            forget(path for path in there if path != run.last)
    except OSError as error:
        raise atomic.write_error(run.checkpoints, error) from error


def set_aside(last: Path, used: Path) -> None:
    """Rename what is newer than `used` (it is damaged), so that it pushes no good one out.

    Raises:
        OSError: the file system refused.
    """
    for path in existing(last):
        if path == used:
            return
        rename(path, path.with_name(path.name + DAMAGED))


def forget(checkpoints: Iterable[Path]) -> None:
    """Delete them.

    Raises:
        OSError: the file system refused.
    """
    for path in checkpoints:
        remove(path)
