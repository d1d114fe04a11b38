"""Who makes an entry of the token store, who waits and says so, and what of a killed maker's goes away."""

import logging
import os
import socket
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from lstm_lm import unfinished
from lstm_lm.data import makers
from lstm_lm.data.makers import only_maker

DAY = 24 * 3600


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    (tmp_path / "tokens").mkdir()
    return tmp_path / "tokens" / "text-0123ab"


def half_made(entry: Path, host: str | None = None, age: float = 0.0) -> Path:
    """As a killed process leaves it."""
    folder = entry.with_name(f"{entry.name}.{host or unfinished.this_host()}01234567.building")
    folder.mkdir()
    (folder / "train.bin").write_bytes(b"half")
    marker = folder.with_suffix(".maker")
    marker.touch()
    os.utime(marker, (time.time() - age,) * 2)
    return folder


def test_one_that_waits_says_for_whom(
    entry: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(makers, "SECONDS_BEFORE_A_WORD", 0.05)
    made: list[Path] = []

    def wait() -> None:
        with only_maker(entry):
            made.append(entry)

    with only_maker(entry) as building:
        building.mkdir()
        other = threading.Thread(target=wait)
        other.start()
        while not caplog.records:
            time.sleep(0.01)
        assert not made
        building.rmdir()
    other.join()
    assert made == [entry]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING  # seen by a person who has set up no logging
    assert f"process {os.getpid()} on {socket.gethostname()}" in record.getMessage()


def test_what_killed_processes_left_of_any_entry_goes_away(entry: Path) -> None:
    own, other = half_made(entry), half_made(entry.with_name("text-ffffcd"))
    with only_maker(entry) as building:
        assert not own.exists()
        assert not other.exists()
        assert not building.exists()


def test_what_a_living_process_makes_stays(entry: Path) -> None:
    other = entry.with_name("text-ffffcd")
    with only_maker(other) as theirs:
        theirs.mkdir()
        with only_maker(entry):
            assert theirs.exists()


def test_what_another_machine_makes_stays_for_a_day(entry: Path) -> None:
    of_today, older = half_made(entry, "0" * 8, DAY / 2), half_made(entry, "1" * 8, 2 * DAY)
    with only_maker(entry):
        assert of_today.exists()
        assert not older.exists()


def test_a_folder_of_another_name_is_nobodys(entry: Path) -> None:
    foreign = entry.with_name("my.building")
    foreign.mkdir()
    with only_maker(entry):
        assert foreign.exists()


def test_locks_do_not_grow_in_number_with_the_entries(entry: Path) -> None:
    for number in range(600):
        with only_maker(entry.with_name(f"text-{number:08x}")):
            pass
    locks = sorted((entry.parents[1] / "locks").iterdir())
    assert len(locks) == 256
    assert not list(entry.parent.iterdir())
    FileLock(locks[0], timeout=0).acquire().lock.release()  # let go of
