"""TensorBoard's files: each point once, through kills and resumes, whatever the clock and the disk do."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lstm_lm.errors import RunError, UserError
from lstm_lm.runs import event_files
from lstm_lm.runs.event_files import EventFiles

Points = list[tuple[int, float]]


def failed(error: RunError) -> None:
    raise AssertionError(error)


def opened(folder: Path, resumed_step: int | None = None) -> EventFiles:
    events = EventFiles(folder, failed)
    events.begin(resumed_step)
    return events


def train(events: EventFiles, first: int, last: int) -> None:
    for step in range(first, last + 1):
        events.write(lambda file, step=step: file.add_scalar("loss", step / 4, step))  # type: ignore[misc]


def shown(folder: Path) -> EventAccumulator:
    board = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0, "histograms": 0})
    board.Reload()
    return board


def points(folder: Path, name: str = "loss") -> Points:
    return [(event.step, event.value) for event in shown(folder).Scalars(name)]


def expected(*steps: int) -> Points:
    return [(step, step / 4) for step in steps]


def set_clock(monkeypatch: pytest.MonkeyPatch, now: float) -> None:
    monkeypatch.setattr(time, "time", lambda: now)


def test_scalars_texts_and_histograms_are_read_back(tmp_path: Path) -> None:
    events = opened(tmp_path)
    train(events, 1, 3)
    events.write(lambda file: file.add_text("sample", "    to be", 2))
    events.write(lambda file: file.add_histogram("weights", torch.tensor([1.0, 2.0, 2.0]), 3))
    events.close()
    board = shown(tmp_path)
    assert points(tmp_path) == expected(1, 2, 3)
    (text,) = board.Tensors("sample/text_summary")
    assert (text.step, text.tensor_proto.string_val[0]) == (2, b"    to be")
    (histogram,) = board.Histograms("weights")
    value = histogram.histogram_value
    assert (histogram.step, value.num, value.min, value.max, value.sum) == (3, 3, 1.0, 2.0, 5.0)


def test_nothing_is_written_before_the_run_begins(tmp_path: Path) -> None:
    events = EventFiles(tmp_path, failed)
    train(events, 1, 2)
    events.flush()
    assert list(tmp_path.iterdir()) == []
    events.begin(None)
    assert points(tmp_path) == expected(1, 2)


def test_what_a_run_that_never_began_recorded_is_forgotten(tmp_path: Path) -> None:
    events = EventFiles(tmp_path, failed)
    train(events, 1, 2)
    events.close()
    assert list(tmp_path.iterdir()) == []


def test_it_is_written_now_and_then_for_those_who_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = opened(tmp_path)
    train(events, 1, 1)
    assert list(tmp_path.iterdir()) == []
    now = time.monotonic() + event_files.SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: now)
    train(events, 2, 3)
    assert points(tmp_path) == expected(1, 2)


# Killed and resumed.


def test_killed_between_two_flushes_no_point_is_missing_or_twice(tmp_path: Path) -> None:
    killed = opened(tmp_path)
    train(killed, 1, 6)
    killed.flush()
    train(killed, 7, 9)  # never flushed
    resumed = opened(tmp_path, 4)
    train(resumed, 4, 9)  # the row of the checkpoint's step is recorded again
    resumed.close()
    assert points(tmp_path) == expected(*range(1, 10))


def test_resumed_twice_at_the_same_step(tmp_path: Path) -> None:
    events = opened(tmp_path)
    train(events, 1, 6)
    events.flush()
    for end in (5, 8):
        events = opened(tmp_path, 4)
        train(events, 4, end)
        events.flush()
    assert points(tmp_path) == expected(*range(1, 9))
    events = opened(tmp_path, 7)
    train(events, 7, 10)
    events.close()
    assert points(tmp_path) == expected(*range(1, 11))


def test_with_the_clock_set_back_points_stay_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for clock, resumed, end in [(2_000_000_000, None, 5), (1_000_000_000, 3, 6), (1_500_000_000, 6, 8)]:
        set_clock(monkeypatch, clock)
        events = opened(tmp_path, resumed)
        train(events, resumed or 1, end)
        events.close()
    assert points(tmp_path) == expected(*range(1, 9))
    names = [path.name for path in sorted(tmp_path.iterdir())]
    assert len(names) == 3
    assert [name.split(".")[3] for name in names] == ["2000000000", "2000000001", "2000000002"]


def test_texts_and_histograms_of_the_checkpoints_step_stay(tmp_path: Path) -> None:
    events = opened(tmp_path)
    for step in (3, 4, 5):
        events.write(lambda file, step=step: file.add_text("sample", str(step), step))  # type: ignore[misc]
        events.write(lambda file, step=step: file.add_histogram("weights", torch.ones(2), step))  # type: ignore[misc]
    events.flush()
    events = opened(tmp_path, 4)
    train(events, 4, 5)
    events.close()
    board = shown(tmp_path)
    assert [event.step for event in board.Tensors("sample/text_summary")] == [3, 4]
    assert [event.step for event in board.Histograms("weights")] == [3, 4]


def test_what_is_recorded_at_the_end_is_recorded_once_though_it_ended_twice(tmp_path: Path) -> None:
    for resumed, end in [(None, 4), (4, 6)]:
        events = opened(tmp_path, resumed)
        train(events, resumed or 1, end)
        events.write(lambda file, end=end: file.add_scalar("with_best/val/loss", end / 4, 0))  # type: ignore[misc]
        events.write(lambda file, end=end: file.add_text("sample/final", "", end))  # type: ignore[misc]
        events.close()
    assert points(tmp_path, "with_best/val/loss") == [(0, 1.5)]
    assert [event.step for event in shown(tmp_path).Tensors("sample/final/text_summary")] == [6]


def test_curves_by_steps_of_their_own_stay(tmp_path: Path) -> None:
    events = opened(tmp_path)
    for step in range(10):
        events.write(lambda file, step=step: file.add_scalar("tune/loss", step / 4, step))  # type: ignore[misc]
    train(events, 1, 3)
    events.flush()
    opened(tmp_path, 2).close()
    assert points(tmp_path, "tune/loss") == expected(*range(10))
    assert points(tmp_path) == expected(1)


def test_killed_before_its_first_checkpoint_nothing_stays(tmp_path: Path) -> None:
    events = opened(tmp_path)
    events.write(lambda file: file.add_text("runtime", "", 0))
    train(events, 0, 3)
    events.flush()
    events = opened(tmp_path, 0)
    assert list(tmp_path.iterdir()) == []
    train(events, 1, 1)
    events.close()
    assert points(tmp_path) == expected(1)


def test_a_killed_process_may_leave_half_a_record_anywhere(tmp_path: Path) -> None:
    events = opened(tmp_path)
    train(events, 1, 1)
    events.flush()
    (path,) = tmp_path.iterdir()
    first = path.stat().st_size  # of which the record of step 1 is the end
    train(events, 2, 3)
    events.close()
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        for other in tmp_path.iterdir():
            other.unlink()
        path.write_bytes(whole[:cut])
        events = opened(tmp_path, 2)
        train(events, 2, 4)
        events.close()
        assert points(tmp_path) == expected(*([1] if cut >= first else []), 2, 3, 4)


def test_a_file_that_holds_nothing_to_remove_is_left_alone(tmp_path: Path) -> None:
    events = opened(tmp_path)
    train(events, 1, 3)
    events.close()
    (path,) = tmp_path.iterdir()
    before = path.stat()
    opened(tmp_path, 9).close()
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("content", [b"", b"\xff" * 500, b"\0" * 500, b"no events at all, but a text"])
def test_files_from_elsewhere_cannot_hold_up_a_run(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "events.out.tfevents.9999999998.x").write_bytes(content)
    (tmp_path / "events.out.tfevents.folder").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "events.out.tfevents.pipe")
    events = opened(tmp_path, 2)
    train(events, 2, 3)
    events.close()


# Trouble.


def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on until what is returned is called."""
    synced = os.fsync

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    return lambda: monkeypatch.setattr(os, "fsync", synced)


def test_while_the_disk_is_full_events_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[RunError] = []
    events = EventFiles(tmp_path, reported.append)
    events.begin(None)
    train(events, 1, 2)
    events.flush()
    there_is_space = full_disk(monkeypatch)
    train(events, 3, 4)
    events.flush()
    assert points(tmp_path) == expected(1, 2)
    assert str(reported[0]).startswith(f"{tmp_path}: cannot be written: No space left on device\n")
    there_is_space()
    train(events, 5, 5)
    events.close()
    assert points(tmp_path) == expected(1, 2, 3, 4, 5)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_resume_on_a_full_disk_shows_no_point_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(tmp_path)
    train(first, 1, 5)
    first.close()
    there_is_space = full_disk(monkeypatch)
    reported: list[RunError] = []
    events = EventFiles(tmp_path, reported.append)
    events.begin(3)
    train(events, 3, 4)
    events.flush()
    assert len(reported) == 2
    assert points(tmp_path) == expected(1, 2, 3, 4, 5)
    there_is_space()
    events.close()
    assert points(tmp_path) == expected(1, 2, 3, 4)


def test_too_much_that_waits_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_files, "MOST_WAITING", 100)
    events = EventFiles(tmp_path, lambda error: None)
    events.begin(None)
    there_is_space = full_disk(monkeypatch)
    train(events, 1, 9)
    events.flush()
    there_is_space()
    train(events, 10, 11)
    events.close()
    assert points(tmp_path) == expected(10, 11)


@pytest.mark.linux
def test_a_folder_that_tensorboard_cannot_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not UTF-8\n.*logger.tensorboard=false"):
        EventFiles(Path(os.fsdecode(bytes(tmp_path) + b"/\xff")), failed)
