"""The newest checkpoint and those before it."""

from pathlib import Path

import pytest

from lstm_lm.errors import UserError
from lstm_lm.runs import checkpoint_file, lookup, rotation
from lstm_lm.runs.directory import RunDirectory


def write(last: Path, step: int, keep: int) -> None:
    checkpoint = {"lstm_lm": {"schema_version": 1}, "step": step}
    checkpoint_file.save(checkpoint, last, before=lambda: rotation.make_room(last, keep))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path)
    run.checkpoints.mkdir()
    return run


def steps(run: RunDirectory) -> dict[str, int]:
    return {path.name: checkpoint_file.load(path)["step"] for path in rotation.existing(run.last)}


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        (1, {"last.ckpt": 5}),
        (2, {"last.ckpt": 5, "last-1.ckpt": 4}),
        (3, {"last.ckpt": 5, "last-1.ckpt": 4, "last-2.ckpt": 3}),
        (9, {"last.ckpt": 5, "last-1.ckpt": 4, "last-2.ckpt": 3, "last-3.ckpt": 2, "last-4.ckpt": 1}),
    ],
)
def test_as_many_are_kept_as_are_asked_for(keep: int, kept: dict[str, int], run: RunDirectory) -> None:
    for step in range(1, 6):
        write(run.last, step, keep)
    assert steps(run) == kept


def test_fewer_are_kept_once_fewer_are_asked_for(run: RunDirectory) -> None:
    for step in range(1, 6):
        write(run.last, step, 4)
    write(run.last, 6, 2)
    assert steps(run) == {"last.ckpt": 6, "last-1.ckpt": 5}


def test_there_is_always_a_last_one_even_without_hard_links(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("this file system knows no second names")

    monkeypatch.setattr("os.link", refuse)
    for step in range(1, 4):
        write(run.last, step, 2)
    assert steps(run) == {"last.ckpt": 3, "last-1.ckpt": 2}


def test_a_write_that_fails_leaves_all_as_they_were(run: RunDirectory) -> None:
    for step in (1, 2):
        write(run.last, step, 2)
    with pytest.raises(TypeError):
        checkpoint_file.save(
            {"lstm_lm": {"schema_version": 1}, "step": object()},
            run.last,
            before=lambda: rotation.make_room(run.last, 2),
        )
    assert steps(run) == {"last.ckpt": 2, "last-1.ckpt": 1}


def newest(run: RunDirectory) -> tuple[Path, tuple[str, ...]]:
    """What a run resumes from, and what is wrong with newer ones."""
    found = lookup.newest_usable(run)
    assert found is not None
    return found.path, found.problems


def test_the_newest_whole_one_is_used_and_damaged_ones_are_named(run: RunDirectory) -> None:
    for step in range(1, 4):
        write(run.last, step, 3)
    assert newest(run) == (run.last, ())
    data = bytearray(run.last.read_bytes())
    data[len(data) // 2] ^= 1
    run.last.write_bytes(data)
    earlier = rotation.earlier(run.last, 1)
    earlier.write_bytes(earlier.read_bytes()[:100])
    path, problems = newest(run)
    assert path == rotation.earlier(run.last, 2)
    assert "last.ckpt: the checkpoint is damaged" in problems[0]
    assert "last-1.ckpt: the checkpoint is cut off" in problems[1]
    rotation.set_aside(run.last, path)
    assert sorted(path.name for path in run.checkpoints.iterdir()) == [
        "last-1.ckpt.damaged",
        "last-2.ckpt",
        "last.ckpt.damaged",
    ]
    write(run.last, 4, 3)
    assert steps(run) == {"last.ckpt": 4, "last-2.ckpt": 1}


def test_the_best_one_is_continued_where_nothing_else_is_whole(run: RunDirectory) -> None:
    write(run.last, 1, 1)
    run.best.write_bytes(run.last.read_bytes())
    run.last.write_bytes(b"PK")
    path, problems = newest(run)
    assert path == run.best
    assert len(problems) == 1


def test_nothing_whole_is_refused_with_all_names_and_nothing_at_all_is_no_error(run: RunDirectory) -> None:
    assert lookup.newest_usable(run) is None
    write(run.last, 1, 1)
    run.last.write_bytes(b"PK")
    run.best.write_bytes(b"no")
    with pytest.raises(UserError, match=r"last\.ckpt.*\n.*best\.ckpt.*\n.*good copy") as caught:
        lookup.newest_usable(run)
    assert len(str(caught.value).splitlines()) <= 4


def test_other_files_are_none_of_them(run: RunDirectory) -> None:
    write(run.last, 1, 2)
    for name in ("last-x.ckpt", "last--1.ckpt", "last-0.ckpt", "last-1.ckpt.damaged", "last-²"):
        (run.checkpoints / name).touch()
    assert rotation.existing(run.last) == [run.last]
