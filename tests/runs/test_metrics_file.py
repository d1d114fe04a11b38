"""`metrics.csv`: each logged step once, on the disk when asked for, through interruptions and resumes."""

import math
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_lm.errors import RunError, UserError
from lstm_lm.runs import atomic, metrics_file
from lstm_lm.runs.metrics_file import MetricsFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.csv"


def test_values_of_one_step_share_a_row(path: Path) -> None:
    metrics = MetricsFile(path)
    metrics.log(10, {"train/loss": 2.5})
    metrics.log(10, {"val/loss": 2.25, "epoch": 0})
    metrics.log(20, {"train/loss": 2.0})
    metrics.flush()
    assert path.read_text() == "step,train/loss,val/loss,epoch\n10,2.5,2.25,0\n20,2.0,,\n"


def test_the_newest_row_waits_until_a_later_step_or_a_flush(path: Path) -> None:
    metrics = MetricsFile(path)
    metrics.log(1, {"a": 1.0})
    assert not path.exists()
    metrics.log(2, {"a": 2.0})
    assert path.read_text() == "step,a\n1,1.0\n"
    assert metrics.last_step == 2
    metrics.flush()
    assert path.read_text() == "step,a\n1,1.0\n2,2.0\n"


def test_nothing_logged_makes_no_file(path: Path) -> None:
    metrics = MetricsFile(path)
    metrics.log(1, {})
    metrics.flush()
    assert metrics.last_step is None
    assert not path.exists()


def test_a_new_column_widens_the_rows_before(path: Path) -> None:
    metrics = MetricsFile(path)
    metrics.log(1, {"a": 1.0})
    metrics.log(2, {"b": 2.0})
    metrics.flush()
    assert path.read_text() == "step,a,b\n1,1.0,\n2,,2.0\n"
    assert metrics_file.read(path) == [{"step": 1, "a": 1.0}, {"step": 2, "b": 2.0}]


def test_an_existing_file_is_continued(path: Path) -> None:
    first = MetricsFile(path)
    first.log(1, {"a": 1.0})
    first.flush()
    second = MetricsFile(path)
    assert second.last_step == 1
    second.log(2, {"a": 2.0})
    second.flush()
    assert path.read_text() == "step,a\n1,1.0\n2,2.0\n"


def test_a_value_for_a_written_step_joins_its_row(path: Path) -> None:
    metrics = MetricsFile(path)
    metrics.log(1, {"a": 1.0})
    metrics.log(2, {"a": 2.0})
    metrics.flush()
    metrics.log(2, {"b": 20.0})
    metrics.log(2, {"c": 200.0})
    metrics.log(1, {"a": 1.5})
    metrics.log(3, {"a": 3.0})
    metrics.flush()
    assert path.read_text() == "step,a,b,c\n1,1.5,,\n2,2.0,20.0,200.0\n3,3.0,,\n"


def test_numbers_come_back_as_they_were(path: Path) -> None:
    values = {"nan": math.nan, "inf": -math.inf, "tenth": 0.1, "tiny": 5e-324, "count": 2**60 + 1}
    metrics = MetricsFile(path)
    metrics.log(0, values)
    metrics.flush()
    (row,) = metrics_file.read(path)
    assert math.isnan(row.pop("nan"))
    assert row == {"step": 0, "inf": -math.inf, "tenth": 0.1, "tiny": 5e-324, "count": 2**60 + 1}


@pytest.mark.parametrize("name", ["", "step", "a\nb", "a\r", "\ud800"])
def test_unusable_names_are_refused_at_once(path: Path, name: str) -> None:
    metrics = MetricsFile(path)
    with pytest.raises(ValueError, match="not a usable column name"):
        metrics.log(1, {"fine": 1.0, name: 1.0})
    with pytest.raises(ValueError, match="negative"):
        metrics.log(-1, {"a": 1.0})
    assert metrics.last_step is None


def test_appending_does_not_rewrite(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = MetricsFile(path)
    metrics.log(0, {"a": 0.0})
    metrics.log(1, {"a": 0.0})
    inode = path.stat().st_ino

    def never(path: Path, data: bytes) -> None:
        raise AssertionError("rewritten")

    monkeypatch.setattr(atomic, "write_bytes", never)
    for step in range(2, 500):
        metrics.log(step, {"a": step / 7})
    metrics.flush()
    assert path.stat().st_ino == inode
    assert [row["step"] for row in metrics_file.read(path)] == list(range(500))


def test_flush_syncs_to_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = MetricsFile(path)
    metrics.log(1, {"a": 1.0})
    metrics.flush()
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    metrics.log(2, {"a": 2.0})
    metrics.log(3, {"a": 3.0})
    assert synced == []
    metrics.flush()
    assert synced == [path.stat().st_size]
    metrics.flush()
    assert len(synced) == 1, "nothing new, nothing to sync"


# Resuming.


def test_truncate_after_forgets_what_will_be_logged_again(path: Path) -> None:
    metrics = MetricsFile(path)
    for step in (10, 20, 30, 40):
        metrics.log(step, {"a": float(step)})  # 40 still waits
    metrics.truncate_after(20)
    metrics.log(30, {"a": -30.0})
    metrics.flush()
    assert path.read_text() == "step,a\n10,10.0\n20,20.0\n30,-30.0\n"


def test_truncate_after_the_last_step_changes_nothing(path: Path) -> None:
    metrics = MetricsFile(path)
    metrics.log(1, {"a": 1.0})
    metrics.log(2, {"a": 2.0})
    before = path.stat()
    metrics.truncate_after(2)
    metrics.flush()
    assert path.stat().st_ino == before.st_ino
    assert metrics.last_step == 2


def test_truncate_everything_keeps_the_columns(path: Path) -> None:
    metrics = MetricsFile(path)
    metrics.log(5, {"a": 1.0})
    metrics.flush()
    metrics.truncate_after(0)
    assert path.read_text() == "step,a\n"
    assert MetricsFile(path).last_step is None


def test_a_killed_writer_leaves_a_file_that_continues_wherever_it_was_cut(path: Path) -> None:
    metrics = MetricsFile(path)
    for step in range(1, 4):
        metrics.log(step, {"a": step / 3, "b": float(step)})
    metrics.flush()
    rows, whole = metrics_file.read(path), path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = max(whole[:cut].count(b"\n") - 1, 0)
        assert metrics_file.read(path) == rows[:kept]
        assert path.read_bytes() == whole[:cut], "reading changes nothing"
        resumed = MetricsFile(path)
        assert (resumed.last_step or 0) == kept
        for step in range(kept + 1, 4):
            resumed.log(step, {"a": step / 3, "b": float(step)})
        resumed.flush()
        assert path.read_bytes() == whole


@settings(deadline=None, max_examples=60)
@given(
    logged=st.lists(
        st.tuples(
            st.integers(0, 12),
            st.dictionaries(
                st.text(st.characters(codec="utf-8", categories=["L", "P", "N"]), min_size=1, max_size=4).filter(
                    lambda name: name != "step"
                ),
                st.floats(allow_nan=False) | st.integers(-(2**70), 2**70),
                min_size=1,
                max_size=3,
            ),
            st.sampled_from(["", "flush", "reopen"]),
        ),
        max_size=15,
    )
)
def test_any_sequence_of_calls_leaves_each_step_once_with_its_latest_values(
    tmp_path_factory: pytest.TempPathFactory, logged: list[tuple[int, dict[str, float], str]]
) -> None:
    path = tmp_path_factory.mktemp("metrics") / "metrics.csv"
    metrics = MetricsFile(path)
    expected: dict[int, dict[str, float]] = {}
    for step, values, then in logged:
        metrics.log(step, values)
        expected.setdefault(step, {}).update(values)
        if then:
            metrics.flush()
        if then == "reopen":
            metrics = MetricsFile(path)
        assert metrics.last_step == max(expected)
    metrics.flush()
    rows = metrics_file.read(path) if expected else []
    assert rows == [{"step": step, **expected[step]} for step in sorted(expected)]


# Trouble.


def test_a_full_disk_loses_no_row_once_there_is_room_again(path: Path) -> None:
    metrics = MetricsFile(path)
    metrics.log(1, {"a": 1.0})
    metrics.flush()
    resource = pytest.importorskip("resource")  # Windows has no limit on the size of a file
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 3, hard))  # room for half a row
    try:
        metrics.log(2, {"a": 2.0})
        for step in (3, 4):
            with pytest.raises(RunError, match="cannot be written: File too large"):
                metrics.log(step, {"a": float(step)})
        with pytest.raises(RunError):
            metrics.flush()
        assert path.read_text() == "step,a\n1,1.0\n"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    metrics.log(5, {"a": 5.0})
    metrics.flush()
    assert path.read_text() == "step,a\n1,1.0\n2,2.0\n3,3.0\n4,4.0\n5,5.0\n"


def test_a_file_deleted_meanwhile_is_made_anew_with_its_header(path: Path) -> None:
    metrics = MetricsFile(path)
    metrics.log(1, {"a": 1.0})
    metrics.flush()
    path.unlink()
    metrics.log(2, {"a": 2.0})
    metrics.flush()
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
