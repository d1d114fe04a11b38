"""SHA-256 of files, remembered, so that starting from the cache does not read a large text again."""

import contextlib
import hashlib
import json
import tempfile
import time
from pathlib import Path

from lstm_lm.renaming import rename

LARGE_BYTES = 8 << 20  # below this, hashing is quicker than the memory is worth
# A file can change twice within one tick of the file system's clock. Only older times identify a content.
SETTLED_NS = 2_000_000_000


def sha256_of(path: Path) -> str:
    """SHA-256 of the file's bytes, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ChecksumMemory:
    """Remembers the SHA-256 of large files by (path, size, time of last change), one small file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sha256(self, path: Path) -> str:
        """SHA-256 of the file's bytes, hex, from memory where the file has not changed since.

        Raises:
            OSError: the file cannot be read.
        """
        status = path.stat()
        if status.st_size < LARGE_BYTES:
            return sha256_of(path)
        where = str(path.absolute())
        identity: dict[str, object] = {"path": where, "size": status.st_size, "mtime_ns": status.st_mtime_ns}
        name = hashlib.sha256(where.encode("utf-8", "surrogateescape")).hexdigest()
        note = self._folder / f"{name[:32]}.json"
        if (known := _read(note, identity)) is not None:
            return known
        digest = sha256_of(path)
        if time.time_ns() - status.st_mtime_ns > SETTLED_NS and path.stat().st_mtime_ns == status.st_mtime_ns:
            # Only a memory: without it the next start is slower, not wrong.
            with contextlib.suppress(OSError):
                _write(note, {**identity, "sha256": digest})
        return digest


def _read(note: Path, identity: dict[str, object]) -> str | None:
    try:
        known = json.loads(note.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(known, dict) or any(known.get(key) != value for key, value in identity.items()):
        return None
    digest = known.get("sha256")
    return digest if isinstance(digest, str) and len(digest) == 64 else None


def _write(note: Path, content: dict[str, object]) -> None:
    note.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=note.parent, prefix=note.name)
    with open(handle, "w", encoding="utf-8") as file:
        json.dump(content, file)
    rename(Path(temporary), note)
