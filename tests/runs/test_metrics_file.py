"""`metrics.csv`: each logged step once, appended as it is complete, through interruptions and resumes."""

import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.errors import RunError, UserError
from lstm_lm.runs import atomic, metrics_file
from lstm_lm.runs.metrics_file import MetricsFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.csv"


def test_values_of_one_step_share_a_row(path: Path) -> None:
    metrics = MetricsFile(path)
    metrics.add(10, {"train/loss": 2.5})
    metrics.add(10, {"val/loss": 2.25, "epoch": 0})
    metrics.add(20, {"train/loss": 2.0})
    metrics.sync(open_row=True)
    assert path.read_text() == "step,train/loss,val/loss,epoch\n10,2.5,2.25,0\n20,2.0,,\n"


def test_the_open_row_waits_in_memory_until_a_later_step(path: Path) -> None:
    metrics = MetricsFile(path)
    assert metrics.open_row == {}
    metrics.add(1, {"a": 1.0})
    metrics.sync(open_row=False)
    assert not path.exists()
    assert metrics.open_row == {"step": 1, "a": 1.0}
    metrics.add(2, {"a": 2.0})
    assert path.read_text() == "step,a\n1,1.0\n"
    metrics.sync(open_row=False)
    assert path.read_text() == "step,a\n1,1.0\n"
    metrics.sync(open_row=True)
    assert path.read_text() == "step,a\n1,1.0\n2,2.0\n"


def test_nothing_logged_makes_no_file(path: Path) -> None:
    metrics = MetricsFile(path)
    metrics.add(1, {})
    metrics.sync(open_row=True)
    assert metrics.open_row == {}
    assert not path.exists()


def test_a_new_column_widens_the_rows_before(path: Path) -> None:
    metrics = MetricsFile(path)
    metrics.add(1, {"a": 1.0})
    metrics.add(2, {"b": 2.0})
    metrics.sync(open_row=True)
    assert path.read_text() == "step,a,b\n1,1.0,\n2,,2.0\n"
    assert metrics_file.read(path) == [{"step": 1, "a": 1.0}, {"step": 2, "b": 2.0}]


def test_an_existing_file_is_continued(path: Path) -> None:
    first = MetricsFile(path)
    first.add(1, {"a": 1.0})
    first.sync(open_row=True)
    second = MetricsFile(path)
    assert second.open_row == {"step": 1, "a": 1.0}
    second.add(2, {"a": 2.0})
    second.sync(open_row=True)
    assert path.read_text() == "step,a\n1,1.0\n2,2.0\n"


def test_a_value_for_an_open_row_that_is_on_the_disk_joins_it(path: Path) -> None:
    metrics = MetricsFile(path)
    metrics.add(1, {"a": 1.0})
    metrics.add(2, {"a": 2.0})
    metrics.sync(open_row=True)
    metrics.add(2, {"b": 20.0})
    metrics.add(2, {"a": 2.5})
    assert path.read_text() == "step,a\n1,1.0\n2,2.0\n", "whole rows only"
    metrics.add(3, {"a": 3.0})
    metrics.sync(open_row=True)
    assert path.read_text() == "step,a,b\n1,1.0,\n2,2.5,20.0\n3,3.0,\n"


def test_an_older_step_than_the_open_row_is_an_error(path: Path) -> None:
    metrics = MetricsFile(path)
    metrics.add(2, {"a": 2.0})
    with pytest.raises(ValueError, match="step=1: the row of step 2 has been begun"):
        metrics.add(1, {"a": 1.0})
    metrics.sync(open_row=True)
    with pytest.raises(ValueError, match="step=1"):
        MetricsFile(path).add(1, {"a": 1.0})
    assert path.read_text() == "step,a\n2,2.0\n"


def test_numbers_come_back_as_they_were(path: Path) -> None:
    values = {"nan": math.nan, "inf": -math.inf, "tenth": 0.1, "tiny": 5e-324, "count": 2**60 + 1}
    metrics = MetricsFile(path)
    metrics.add(0, values)
    metrics.sync(open_row=True)
    (row,) = metrics_file.read(path)
    assert math.isnan(row.pop("nan"))
    assert row == {"step": 0, "inf": -math.inf, "tenth": 0.1, "tiny": 5e-324, "count": 2**60 + 1}


@pytest.mark.parametrize("name", ["", "step", "a\nb", "a\r", "\ud800"])
def test_unusable_names_are_refused_at_once(path: Path, name: str) -> None:
    metrics = MetricsFile(path)
    with pytest.raises(ValueError, match="not a usable column name"):
        metrics.add(1, {"fine": 1.0, name: 1.0})
    with pytest.raises(ValueError, match="negative"):
        metrics.add(-1, {"a": 1.0})
    assert metrics.open_row == {}


def test_appending_does_not_rewrite(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = MetricsFile(path)
    metrics.add(0, {"a": 0.0})
    metrics.add(1, {"a": 0.0})
    inode = path.stat().st_ino

    def never(path: Path, data: bytes) -> None:
        raise AssertionError("rewritten")

    monkeypatch.setattr(atomic, "write_bytes", never)
    for step in range(2, 500):
        metrics.add(step, {"a": step / 7})
    metrics.sync(open_row=True)
    assert path.stat().st_ino == inode
    assert [row["step"] for row in metrics_file.read(path)] == list(range(500))


def test_sync_brings_it_to_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = MetricsFile(path)
    metrics.add(1, {"a": 1.0})
    metrics.sync(open_row=True)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    metrics.add(2, {"a": 2.0})
    metrics.add(3, {"a": 3.0})
    assert synced == []
    metrics.sync(open_row=True)
    assert synced == [path.stat().st_size]
    metrics.sync(open_row=True)
    assert len(synced) == 1, "nothing new, nothing to sync"


# Resuming.


def written(path: Path, *steps: int) -> None:
    """A file with these rows, all on the disk."""
    metrics = MetricsFile(path)
    for step in steps:
        metrics.add(step, {"a": float(step)})
    metrics.sync(open_row=True)


def test_resuming_forgets_what_will_be_added_again(path: Path) -> None:
    written(path, 10, 20, 30, 40)
    metrics = MetricsFile(path)
    assert metrics.resume_at(20, {"step": 20, "a": 20.0}) == {"step": 20, "a": 20.0}
    metrics.add(30, {"a": -30.0})
    assert path.read_text() == "step,a\n10,10.0\n20,20.0\n", "rows beyond the checkpoint are gone with the first one"
    metrics.sync(open_row=True)
    assert path.read_text() == "step,a\n10,10.0\n20,20.0\n30,-30.0\n"


def test_resuming_alone_changes_nothing_and_sync_forgets(path: Path) -> None:
    written(path, 1, 2, 3)
    before = path.read_bytes()
    metrics = MetricsFile(path)
    metrics.resume_at(2, {})
    assert path.read_bytes() == before
    metrics.sync(open_row=False)
    assert path.read_text() == "step,a\n1,1.0\n2,2.0\n"


def test_resuming_at_the_last_step_changes_nothing(path: Path) -> None:
    written(path, 1, 2)
    before = path.stat()
    metrics = MetricsFile(path)
    metrics.resume_at(2, {"step": 2, "a": 2.0})
    metrics.add(2, {"a": 2.0})
    metrics.sync(open_row=True)
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_the_row_that_a_checkpoint_holds_is_the_open_row_again(path: Path) -> None:
    """Killed before a later step came, it was never on the disk."""
    written(path, 1, 2)
    metrics = MetricsFile(path)
    saved = {"step": 3, "a": 3.0}
    assert metrics.resume_at(3, saved) == saved
    metrics.add(3, {"b": 30.0})
    metrics.add(4, {"a": 4.0})
    assert path.read_text() == "step,a,b\n1,1.0,\n2,2.0,\n3,3.0,30.0\n"


def test_what_the_file_has_of_the_open_row_is_merged_with_what_the_checkpoint_has(path: Path) -> None:
    written(path, 1, 2)
    metrics = MetricsFile(path)
    row = metrics.resume_at(2, {"step": 2, "a": -2.0, "b": 20.0})
    assert row == metrics.open_row == {"step": 2, "a": 2.0, "b": 20.0}
    metrics.add(3, {"a": 3.0})
    assert path.read_text() == "step,a,b\n1,1.0,\n2,2.0,20.0\n"


def test_the_open_row_of_a_checkpoint_between_two_logged_steps(path: Path) -> None:
    """Rows at 5 and 10, a checkpoint at 8: it holds the row of 5."""
    metrics = MetricsFile(path)
    saved = {"step": 5, "a": 5.0}
    assert metrics.resume_at(8, saved) == saved
    metrics.add(8, {"b": 8.0})
    assert path.read_text() == "step,a\n5,5.0\n"
    metrics.sync(open_row=True)
    again = MetricsFile(path)
    assert again.resume_at(8, saved) == {"step": 8, "b": 8.0}
    with pytest.raises(ValueError, match="not saved at step 8"):
        again.resume_at(8, {"step": 9, "a": 9.0})


def test_resuming_without_any_row_writes_none(path: Path) -> None:
    metrics = MetricsFile(path)
    assert metrics.resume_at(7, {}) == {"step": 7}
    metrics.sync(open_row=True)
    assert not path.exists()
    metrics.add(8, {"a": 8.0})
    metrics.sync(open_row=True)
    assert path.read_text() == "step,a\n8,8.0\n"


def test_a_new_column_after_resuming_brings_no_forgotten_row_back(path: Path) -> None:
    written(path, 1, 2, 3)
    metrics = MetricsFile(path)
    metrics.resume_at(1, {})
    metrics.add(2, {"b": 2.0})
    metrics.sync(open_row=True)
    assert path.read_text() == "step,a,b\n1,1.0,\n2,,2.0\n"


def test_resuming_before_every_row_keeps_the_columns(path: Path) -> None:
    written(path, 5)
    metrics = MetricsFile(path)
    metrics.resume_at(1, {})
    metrics.sync(open_row=False)
    assert path.read_text() == "step,a\n"
    assert MetricsFile(path).open_row == {}


def test_a_killed_writer_leaves_a_file_that_continues_wherever_it_was_cut(path: Path) -> None:
    metrics = MetricsFile(path)
    for step in range(1, 4):
        metrics.add(step, {"a": step / 3, "b": float(step)})
    metrics.sync(open_row=True)
    rows, whole = metrics_file.read(path), path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = max(whole[:cut].count(b"\n") - 1, 0)
        assert metrics_file.read(path) == rows[:kept]
        assert path.read_bytes() == whole[:cut], "reading changes nothing"
        resumed = MetricsFile(path)
        assert resumed.open_row.get("step", 0) == kept
        assert path.read_bytes() == whole[:cut], "only writing does"
        for step in range(kept + 1, 4):
            resumed.add(step, {"a": step / 3, "b": float(step)})
        resumed.sync(open_row=True)
        assert path.read_bytes() == whole


Values = dict[str, float]
NAMES = st.text(st.characters(codec="utf-8", categories=["L", "P", "N"]), min_size=1, max_size=4)


@given(
    calls=st.lists(
        st.tuples(
            st.integers(0, 3),
            st.dictionaries(
                NAMES.filter(lambda name: name != "step"),
                st.floats(allow_nan=False) | st.integers(-(2**70), 2**70),
                min_size=1,
                max_size=3,
            ),
            st.sampled_from(["", "", "checkpoint", "end", "killed"]),
        ),
        max_size=25,
    )
)
def test_any_sequence_of_calls_and_kills_leaves_each_step_once_with_its_latest_values(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[int, Values, str]]
) -> None:
    path = tmp_path_factory.mktemp("metrics") / "metrics.csv"
    metrics, step = MetricsFile(path), 0
    expected: dict[int, Values] = {}
    saved: tuple[int, dict[int, Values], Values] = (
        0,
        {},
        {},
    )  # a checkpoint: its step, what was expected, the open row
    for further, values, then in calls:
        step += further
        metrics.add(step, values)
        expected.setdefault(step, {}).update(values)
        if then in ("checkpoint", "end"):
            metrics.sync(open_row=then == "end")
            saved = (step, {known: dict(row) for known, row in expected.items()}, metrics.open_row)
        elif then == "killed":
            metrics, (step, expected) = (
                MetricsFile(path),
                (saved[0], {known: dict(row) for known, row in saved[1].items()}),
            )
            row = metrics.resume_at(step, saved[2])
            if len(row) > 1:  # with what the file has of it already, and may be added to it again
                expected[int(row.pop("step"))] = row
    metrics.sync(open_row=True)
    rows = metrics_file.read(path) if expected else []
    assert rows == [{"step": step, **expected[step]} for step in sorted(expected)]


# Trouble.


def test_a_full_disk_loses_no_row_once_there_is_room_again(path: Path) -> None:
    metrics = MetricsFile(path)
    metrics.add(1, {"a": 1.0})
    metrics.sync(open_row=True)
    resource = pytest.importorskip("resource")  # Windows has no limit on the size of a file
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 3, hard))  # room for half a row
    try:
        metrics.add(2, {"a": 2.0})
        for step in (3, 4):
            with pytest.raises(RunError, match="cannot be written: File too large"):
                metrics.add(step, {"a": float(step)})
        with pytest.raises(RunError):
            metrics.sync(open_row=False)
        with pytest.raises(RunError):
            metrics.sync(open_row=True)
        assert path.read_text() == "step,a\n1,1.0\n"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    metrics.add(5, {"a": 5.0})
    metrics.sync(open_row=True)
    assert path.read_text() == "step,a\n1,1.0\n2,2.0\n3,3.0\n4,4.0\n5,5.0\n"


def test_a_file_deleted_meanwhile_is_made_anew_with_its_header(path: Path) -> None:
    metrics = MetricsFile(path)
    metrics.add(1, {"a": 1.0})
    metrics.sync(open_row=True)
    path.unlink()
    metrics.add(2, {"a": 2.0})
    metrics.sync(open_row=True)
    assert path.read_text() == "step,a\n2,2.0\n"


def test_reading_a_missing_file_says_so(path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        metrics_file.read(path)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"loss,step\n", 1),
        (b"step,a,a\n", 1),
        (b"\n", 1),
        (b"step,a\n1,2,3\n", 2),
        (b"step,a\n1\n", 2),
        (b"step,a\n1,2\n1,3\n", 3),
        (b"step,a\n2,2\n1,3\n", 3),
        (b"step,a\nx,2\n", 2),
        (b"step,a\n,2\n", 2),
        (b"step,a\n1.5,2\n", 2),
        (b"step,a\n1,two\n", 2),
        (b"step,a\n1,\xff\n", 2),
        (b"step,\xff\n1,2\n", 1),
        (b"step,a\n1,\0\n", 2),
        (b'step,a\n1,"2\n3,4\n', 3),
        (b"\x89PNG\r\n\x1a\n", 1),
    ],
)
def test_a_damaged_file_is_refused_by_line_and_left_alone(path: Path, content: bytes, line: int) -> None:
    path.write_bytes(content)
    for attempt in (MetricsFile, metrics_file.read):
        with pytest.raises(UserError) as caught:
            attempt(path)  # type: ignore[operator]
        assert str(caught.value).startswith(f"{path}: line {line} is damaged")
        assert len(str(caught.value).splitlines()) <= 4
    assert path.read_bytes() == content
