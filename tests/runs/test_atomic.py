"""Files are whole or not there, whatever goes wrong while they are written."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lstm_lm.errors import RunError
from lstm_lm.runs import atomic


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    resource = pytest.importorskip("resource")  # Windows has no limit on the size of a file
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_is_written_as_utf_8_with_its_line_ends_untouched(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "a", "ä\r\n\n")
    assert (tmp_path / "a").read_bytes() == "ä\r\n\n".encode()


def test_an_existing_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a"
    atomic.write_bytes(path, b"a long first version")
    atomic.write_bytes(path, b"second")
    assert path.read_bytes() == b"second"
    assert names_in(tmp_path) == ["a"]


def test_new_files_are_as_readable_as_the_umask_allows(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    atomic.write_text(tmp_path / "a", "a")
    assert (tmp_path / "a").stat().st_mode == ordinary.stat().st_mode


def test_the_previous_file_stays_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("before")
    with atomic.replacing(path) as file:
        file.write(b"after")
        file.flush()
        assert path.read_text() == "before"
    assert path.read_text() == "after"


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_an_error_in_the_block_leaves_the_previous_file_and_passes_on(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a"
    path.write_text("before")

    def write_half() -> None:
        with atomic.replacing(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert path.read_text() == "before"
    assert names_in(tmp_path) == ["a"]


@pytest.mark.linux
def test_the_file_is_synced_before_it_is_renamed_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        calls.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    def note_replace(source: Path, target: Path) -> None:
        calls.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    atomic.write_text(tmp_path / "a", "a")
    assert calls == ["file", "rename", "folder"]


def test_a_full_disk_leaves_the_previous_file_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("before")
    with files_of_at_most(100_000), pytest.raises(RunError) as caught:
        atomic.write_bytes(path, bytes(200_000))
    assert str(caught.value).splitlines() == [
        f"{path}: cannot be written: File too large",
        "free some space there (or raise the quota), or choose another folder: hydra.run.dir=DIR",
    ]
    assert path.read_text() == "before"
    assert names_in(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "free some space"), (errno.EROFS, "allow writing there"), (errno.EIO, "check that this folder")],
)
def test_the_remedy_fits_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunError) as caught:
        atomic.write_text(tmp_path / "a", "a")
    first, second = str(caught.value).splitlines()
    assert first == f"{tmp_path / 'a'}: cannot be written: {os.strerror(number)}"
    assert second.startswith(remedy)
    assert names_in(tmp_path) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="No such file or directory"):
        atomic.write_text(tmp_path / "missing" / "a", "a")
