"""What a killed process left half-written goes away; what a living one is writing stays."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from lstm_lm import unfinished
from lstm_lm.runs import atomic

DAY = 24 * 3600
UNIX = pytest.mark.skipif(sys.platform == "win32", reason="there an open file cannot be removed")


def write_for_ever(path: Path, ready: Connection) -> None:
    with atomic.replacing(path) as file:
        file.write(b"half")
        file.flush()
        ready.send(None)
        time.sleep(600)


def fill_for_ever(path: Path, ready: Connection) -> None:
    with atomic.beside(path) as folder:
        (folder / "a").write_bytes(b"half")
        ready.send(None)
        time.sleep(600)


def killed_while_writing(path: Path, write: Callable[[Path, Connection], None] = write_for_ever) -> Path:
    """What is left beside `path`."""
    ready, begun = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=write, args=(path, begun))
    process.start()
    assert ready.poll(60)
    (left,) = path.parent.glob(".*.tmp")
    with atomic.beside(path):
        assert left.exists()  # it lives
    assert atomic.remove_partial(path.parent) == 0
    assert left.exists()
    process.kill()
    process.join()
    return left


@UNIX
@pytest.mark.filterwarnings("ignore:.*fork")
def test_the_next_writer_of_a_file_removes_what_a_killed_one_left_and_not_what_a_living_one_writes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "v.npy"
    left = killed_while_writing(path)
    other = tmp_path / f".w.npy.{unfinished.this_host()}01234567.tmp"
    other.write_bytes(b"of another file")
    with atomic.replacing(path) as file:
        assert not left.exists()
        file.write(b"first")
        atomic.write_bytes(path, b"second")  # while the first one still writes
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert sorted(tmp_path.iterdir()) == [other, path]
    assert atomic.remove_partial(tmp_path) == 1


@UNIX
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_folder_that_a_killed_process_filled_is_removed_with_all_that_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "exported"
    left = killed_while_writing(path, fill_for_ever)
    assert (left / "a").exists()
    with atomic.beside(path) as folder:
        assert [*tmp_path.iterdir()] == [folder]
        folder.rename(path)
        with atomic.beside(path):
            assert path.is_dir(), "what has another name by now is nobody's to remove"
    assert [*tmp_path.iterdir()] == [path]


@UNIX
def test_a_folder_of_another_machine_stays_for_a_day_and_a_link_for_ever(tmp_path: Path) -> None:
    path, target = tmp_path / "exported", tmp_path / "target"
    target.mkdir()
    link = tmp_path / f".exported.{unfinished.this_host()}01234567.tmp"
    link.symlink_to(target)
    elsewhere = tmp_path / f".exported.{'0' * 8}01234567.tmp"
    elsewhere.mkdir()
    with atomic.beside(path):
        assert elsewhere.exists()
    os.utime(elsewhere, (time.time() - 2 * DAY,) * 2)
    with atomic.beside(path):
        pass
    assert sorted(tmp_path.iterdir()) == [link, target]


@UNIX
def test_what_another_machine_writes_stays_for_a_day_though_its_lock_does_not_reach_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "v.npy"
    elsewhere = tmp_path / f".v.npy.{'0' * 8}01234567.tmp"
    elsewhere.write_bytes(b"half")
    atomic.write_bytes(path, b"ours")
    assert elsewhere.exists()
    os.utime(elsewhere, (time.time() - 2 * DAY,) * 2)
    atomic.write_bytes(path, b"ours")
    assert not elsewhere.exists()


@UNIX
def test_where_files_cannot_be_locked_nothing_is_taken_to_be_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(unfinished.fcntl, "flock", unsupported)
    left = tmp_path / f".a.{unfinished.this_host()}01234567.tmp"
    left.write_bytes(b"half")
    atomic.write_bytes(tmp_path / "a", b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole"
    assert left.exists()


@UNIX
def test_a_file_that_is_removed_before_it_could_be_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = unfinished._mark
    removed: list[Path] = []

    def too_late(file: object) -> int | None:
        if not removed:
            removed.append(path)
            path.unlink()
        return lock(file)  # type: ignore[arg-type]

    path = tmp_path / "a"
    monkeypatch.setattr(unfinished, "_mark", too_late)
    with unfinished.new_file(path) as file:
        file.write(b"text")
    assert removed == [path]
    assert path.read_bytes() == b"text"


@UNIX
def test_neither_a_link_nor_a_pipe_is_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"text")
    link, pipe = (tmp_path / f".{name}.{unfinished.this_host()}01234567.tmp" for name in "ab")
    link.symlink_to(target)
    os.mkfifo(pipe)
    atomic.remove_partial(tmp_path)  # and does not wait for anybody to write into the pipe
    assert target.read_bytes() == b"text"
