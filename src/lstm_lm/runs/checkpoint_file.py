"""One checkpoint file: saved whole or not at all, and guarded by a digest that loading verifies.

The file is what `torch.save` writes, a zip archive, with the SHA-256 of all that precedes it as the archive's comment.
Comments do not disturb `torch.load(path, weights_only=True)`, so other programs read these files as they are; torch by
itself, however, takes a flipped bit for another weight.

The digest tells damage, not intent: whoever forges a file can forge its digest. What keeps a hostile file from running
code is `weights_only=True`, and nothing here loads in any other way.
"""

import hashlib
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_lm.device_memory import lacks_device_memory
from lstm_lm.errors import UserError
from lstm_lm.printable import cause_of
from lstm_lm.runs import atomic
from lstm_lm.runs.regular_file import NotRegular, open_regular

if TYPE_CHECKING:
    import torch  # imported where it is used: looking for a run needs the digest only, and torch takes seconds

SCHEMA_VERSION = 1
SECTION = "lstm_lm"
"""Key of this project's own part of a checkpoint."""

_MARK = b"lstm-lm sha256:"
_DIGEST_BYTES = hashlib.sha256().digest_size * 2  # as hexadecimal digits
_COMMENT_BYTES = len(_MARK) + _DIGEST_BYTES
_ZIP_START = b"PK\x03\x04"
_ZIP_END = b"PK\x05\x06"
_ZIP_END_BYTES = 22  # the end record, whose last two bytes are the length of the comment behind it
_LONGEST_COMMENT = 2**16 - 1
_CHUNK_BYTES = 2**20


class MissingCheckpoint(UserError):
    """There is no such file (now: a run that is still training may be about to put it there)."""


class DamagedCheckpoint(UserError):
    """The file is there and can be read, and is not what was written."""


def save(checkpoint: dict[str, Any], path: Path, before: Callable[[], None] | None = None) -> None:
    """Write `checkpoint` to `path`; a reader finds the previous file or the new one, never a part.

    `before` is called when the new file is whole, just before it takes the previous one's place.

    Raises:
        RunError: the file cannot be written (full disk, missing permission, ...); the previous one is whole.
        TypeError: `checkpoint` holds something that `load` would refuse.
        ValueError: `checkpoint` has no section "lstm_lm" with this version's "schema_version".
    """
    import torch

    from lstm_lm.runs import untrusted

    section = checkpoint.get(SECTION)
    if not isinstance(section, dict) or section.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f'checkpoint["{SECTION}"]["schema_version"] must be {SCHEMA_VERSION}')
    with atomic.replacing(path, before=before) as file:
        sink = _Sink(file)
        try:
            torch.save(checkpoint, sink)  # type: ignore[arg-type]  # torch asks for more than it uses
        except RuntimeError:
            if sink.error is not None:  # torch's archive writer fails once more as it closes, which hides the cause
                raise sink.error from None
            raise
        size = file.seek(0, os.SEEK_END)
        try:  # better to fail at the first save than at the resume that needs it
            untrusted.check_archive(file, size)
        except untrusted.Forged as error:
            raise TypeError(f"a checkpoint holds tensors and plain values only: {error}") from None
        _seal(file)


def load(path: Path, map_location: "str | torch.device" = "cpu") -> dict[str, Any]:
    """Read a checkpoint that `save` wrote, its tensors onto `map_location`, after verifying its digest.

    Raises:
        UserError: as `load_with_digest`.
    """
    return load_with_digest(path, map_location)[0]


def load_with_digest(path: Path, map_location: "str | torch.device" = "cpu") -> tuple[dict[str, Any], str]:
    """As `load`; and the digest, SHA-256 in hexadecimal, of the very file that was read.

    Raises:
        UserError: the file is missing (`MissingCheckpoint`), cannot be read, is cut off or damaged, has no digest, is
            no checkpoint, would run code when loaded, is not lstm-lm's, or is of a newer version.
    """
    import torch

    from lstm_lm.runs import checkpoint_fields, untrusted  # and torch, with it

    # One open file for all steps: a training run may rename a newer checkpoint into place at any moment.
    with _verified(path) as file:
        size = file.seek(-_DIGEST_BYTES, os.SEEK_END) + _DIGEST_BYTES
        digest = file.read().decode("ascii")
        try:
            untrusted.check_archive(file, size)
            file.seek(0)
            checkpoint = torch.load(file, map_location=map_location, weights_only=True)
            checkpoint = untrusted.plain(checkpoint, size)
        except (pickle.UnpicklingError, untrusted.Foreign):
            raise UserError(
                f"{path}: refused: it holds more than tensors and plain values, and loading that could run code\n"
                "load only checkpoints that lstm-lm has written"
            ) from None
        except untrusted.Forged as error:
            raise UserError(f"{path}: refused: {error}\nload only checkpoints that lstm-lm has written") from None
        except (MemoryError, OSError):
            raise
        except Exception as error:  # a forged archive can fail anywhere in torch's reader
            if lacks_device_memory(error):
                raise
            raise UserError(
                f"{path}: the checkpoint cannot be loaded onto {map_location}\ncause: {cause_of(error)}"
            ) from error
    found = _checked(checkpoint, path)
    checkpoint_fields.check(found, path, whole=False)
    return found, digest


def verify(path: Path) -> None:
    """Check that `path` is a whole checkpoint with the right digest, without loading it (and without torch).

    Raises:
        UserError: as in `load`, but for what only loading shows (code, other programs' and newer checkpoints).
    """
    with _verified(path):
        pass


class _Sink:
    """Passes `torch.save`'s writes on to `file` and remembers the first that failed."""

    def __init__(self, file: BufferedRandom) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise

    def flush(self) -> None:
        try:
            self.file.flush()
        except OSError as error:
            self.error = self.error or error
            raise


def _seal(file: BufferedRandom) -> None:
    """Append the digest to the zip archive in `file`, as its comment."""
    file.seek(-_ZIP_END_BYTES, os.SEEK_END)
    end = file.read()
    if not end.startswith(_ZIP_END):
        raise AssertionError("torch.save no longer writes a zip archive without a comment")
    file.seek(-2, os.SEEK_END)
    file.write(struct.pack("<H", _COMMENT_BYTES))
    size = file.tell()
    file.write(_MARK + _hex_digest(file, size))


def _hex_digest(file: BufferedRandom | BufferedReader, size: int) -> bytes:
    """SHA-256 of the first `size` bytes of `file`, as lower-case hexadecimal digits; leaves `file` behind them."""
    digest = hashlib.sha256()
    file.seek(0)
    while size > 0 and (chunk := file.read(min(size, _CHUNK_BYTES))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest().encode("ascii")


@contextmanager
def _verified(path: Path) -> Iterator[BufferedReader]:
    """`path`, open at its start, if it is a whole checkpoint with the right digest."""
    try:
        with open_regular(path) as file:
            _verify_open(file, path)
            file.seek(0)
            yield file
    except (FileNotFoundError, NotADirectoryError):
        raise MissingCheckpoint(
            f"{path}: no such checkpoint\nname another one with ckpt_path=FILE or run=DIR, or train: python train.py"
        ) from None
    except NotRegular:
        raise UserError(
            f"{path}: not a file\nckpt_path takes a checkpoint file; for a run directory use run=DIR"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}\ncheck the file and its access") from error
    except ValueError as error:  # a path that no file system can hold, such as one with a zero byte
        raise UserError(f"{str(path)!r}: not a usable path: {error}") from None


def _verify_open(file: BufferedReader, path: Path) -> None:
    size = os.fstat(file.fileno()).st_size
    start = file.read(len(_ZIP_START))
    if start != _ZIP_START:
        if _ZIP_START.startswith(start):
            raise _cut_off(path)
        if start[:1] == pickle.PROTO and len(start) > 1 and start[1] <= pickle.HIGHEST_PROTOCOL:
            raise UserError(
                f"{path}: refused: a bare Python pickle, and loading one could run code\n"
                "load only checkpoints that lstm-lm has written"
            )
        raise DamagedCheckpoint(
            f"{path}: not a checkpoint\nname one with ckpt_path=FILE or run=DIR, or train: python train.py"
        )

    file.seek(-min(size, _ZIP_END_BYTES + _LONGEST_COMMENT), os.SEEK_END)
    tail = file.read()
    found = tail.rfind(_ZIP_END)
    if found < 0 or len(tail) - found < _ZIP_END_BYTES:
        raise _cut_off(path)
    end, comment = tail[found : found + _ZIP_END_BYTES], tail[found + _ZIP_END_BYTES :]
    if len(comment) == _COMMENT_BYTES and comment.startswith(_MARK):
        if comment != _MARK + _hex_digest(file, size - _COMMENT_BYTES):
            raise DamagedCheckpoint(
                f"{path}: the checkpoint is damaged: its content does not match its SHA-256\n"
                "use the run's other one (ckpt_path=last or best), another run, or a good copy of the file"
            )
    elif len(comment) < struct.unpack("<H", end[-2:])[0]:
        raise _cut_off(path)
    else:
        raise DamagedCheckpoint(
            f"{path}: carries no lstm-lm digest, so something else made or changed it\n"
            "load only checkpoints that lstm-lm has written"
        )


def _cut_off(path: Path) -> UserError:
    return DamagedCheckpoint(
        f"{path}: the checkpoint is cut off: its end is missing\n"
        "use the run's other one (ckpt_path=last or best), another run, or a complete copy of the file"
    )


def _checked(checkpoint: Any, path: Path) -> dict[str, Any]:
    section = checkpoint.get(SECTION) if isinstance(checkpoint, dict) else None
    version = section.get("schema_version") if isinstance(section, dict) else None
    if not isinstance(checkpoint, dict) or type(version) is not int or version < 1:
        raise UserError(
            f'{path}: not a checkpoint of lstm-lm: it has no valid section "{SECTION}"\n'
            "load only checkpoints that lstm-lm has written"
        )
    if version > SCHEMA_VERSION:
        raise UserError(
            f"{path}: written by a newer lstm-lm (schema version {version}; this one reads up to {SCHEMA_VERSION})\n"
            "update lstm-lm"
        )
    return checkpoint
