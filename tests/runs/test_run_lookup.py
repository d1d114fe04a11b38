"""The run that a user means: the newest usable one, one by name, or one checkpoint file."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from lstm_lm.errors import UserError
from lstm_lm.runs import checkpoint_file, lookup
from lstm_lm.runs.directory import RunDirectory


@pytest.fixture(scope="module")
def checkpoint_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "a.ckpt"
    checkpoint_file.save({"lstm_lm": {"schema_version": 1}}, path)
    return path.read_bytes()


def found(resolved: tuple[Path, RunDirectory | None]) -> RunDirectory:
    assert resolved[1] is not None
    return resolved[1]


class Outputs:
    """A folder of runs, each one as new as the test says."""

    def __init__(self, path: Path, checkpoint: bytes) -> None:
        self.path = path
        self.checkpoint = checkpoint
        self.warnings: list[str] = []

    def run(self, name: str, **times: int) -> RunDirectory:
        """A run directory with whole checkpoints (best=..., last=...) of the given times."""
        run = RunDirectory(self.path / name)
        run.create()
        for checkpoint, time in times.items():
            self.put(run.checkpoints / f"{checkpoint}.ckpt", self.checkpoint, time)
        return run

    def put(self, path: Path, content: bytes, time: int) -> None:
        path.write_bytes(content)
        os.utime(path, (time, time))

    def cut_off(self, path: Path) -> None:
        self.put(path, self.checkpoint[:-100], int(path.stat().st_mtime))

    def damage(self, path: Path) -> None:
        middle = len(self.checkpoint) // 2
        flipped = self.checkpoint[middle] ^ 1
        changed = self.checkpoint[:middle] + bytes([flipped]) + self.checkpoint[middle + 1 :]
        self.put(path, changed, int(path.stat().st_mtime))

    def find(self) -> RunDirectory:
        return found(lookup.resolve(None, None, self.path, self.warnings.append))

    def resolve(self, run: str | None = None, ckpt_path: str | None = None) -> tuple[Path, RunDirectory | None]:
        return lookup.resolve(run, ckpt_path, self.path, self.warnings.append)

    def refusal(self, run: str | None = None, ckpt_path: str | None = None) -> str:
        with pytest.raises(UserError) as caught:
            self.resolve(run, ckpt_path)
        assert caught.value.exit_status == 2
        assert 1 <= len(str(caught.value).splitlines()) <= 4
        return str(caught.value)


@pytest.fixture
def outputs(tmp_path: Path, checkpoint_bytes: bytes) -> Outputs:
    return Outputs(tmp_path / "outputs", checkpoint_bytes)


# The newest run.


def test_a_row_of_a_study_is_not_the_newest_run_but_can_be_named(outputs: Outputs) -> None:
    own = outputs.run("mine", best=1)
    row = outputs.run("studies/architectures/small/rows/model-gru_0123456789ab/1", best=2)
    (row.path.parent / "1.json").write_text("{}")
    assert outputs.find() == own
    assert found(outputs.resolve("model-gru_0123456789ab/1")) == row


def test_where_there_are_only_rows_of_studies_one_is_to_be_named(outputs: Outputs) -> None:
    row = outputs.run("studies/layers/small/rows/fused_0123456789ab/1", best=2)
    (row.path.parent / "1.json").write_text("{}")
    assert f"run={row.path}" in outputs.refusal()


def test_the_newest_is_told_by_its_newest_checkpoint_not_by_its_name(outputs: Outputs) -> None:
    outputs.run("2030-01-01/a", best=100, last=200)
    newest = outputs.run("2020-01-01/b", best=50, last=300)
    outputs.run("2025-01-01/c", best=250)
    assert outputs.find() == newest
    assert outputs.warnings == []


def test_runs_of_sweeps_are_found_at_any_depth(outputs: Outputs) -> None:
    outputs.run("2020-01-01/a", best=100)
    newest = outputs.run("sweeps/layers/rows/3", last=200)
    assert outputs.find() == newest
    assert outputs.resolve() == (newest.last, newest)


def test_best_comes_before_last(outputs: Outputs) -> None:
    run = outputs.run("a", best=100, last=200)
    assert outputs.resolve() == (run.best, run)


def test_a_newer_run_without_a_usable_checkpoint_is_passed_over_and_named(outputs: Outputs) -> None:
    outputs.run("oldest", best=1)
    good = outputs.run("good", best=100)
    cut_off = outputs.run("cut-off", best=200)
    outputs.cut_off(cut_off.best)
    damaged = outputs.run("damaged", best=300, last=300)
    outputs.damage(damaged.best)
    outputs.cut_off(damaged.last)
    foreign = outputs.run("foreign", best=350)
    outputs.put(foreign.best, b"not a checkpoint", 350)
    empty = outputs.run("empty")  # as new as its folder: now

    assert outputs.find() == good
    first, second, third, fourth = outputs.warnings
    assert first == f"{empty.path}: no best.ckpt or last.ckpt; this run is passed over"
    assert second == f"{foreign.best}: not a checkpoint; this run is passed over"
    assert third.startswith(f"{damaged.best}: the checkpoint is damaged")
    assert f"{damaged.last}: the checkpoint is cut off" in third
    assert fourth.startswith(f"{cut_off.best}: the checkpoint is cut off")
    assert all(line.count("\n") == 0 for line in outputs.warnings)


def test_a_damaged_best_gives_way_to_last_and_is_named(outputs: Outputs) -> None:
    run = outputs.run("a", best=100, last=200)
    outputs.damage(run.best)
    assert outputs.resolve() == (run.last, run)
    (line,) = outputs.warnings
    assert line.startswith(f"{run.best}: the checkpoint is damaged")
    assert line.endswith("using last.ckpt instead")


def test_warnings_go_to_standard_error_unless_told_otherwise(
    outputs: Outputs, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs.run("good", best=100)
    outputs.run("empty")
    lookup.resolve(None, None, outputs.path)
    assert capsys.readouterr().out == ""
    lookup.resolve(None, None, outputs.path)
    assert "empty: no best.ckpt or last.ckpt" in capsys.readouterr().err


def test_a_run_that_failed_early_is_known_by_its_summary(outputs: Outputs) -> None:
    good = outputs.run("good", best=100)
    failed = outputs.path / "failed"
    failed.mkdir()
    (failed / "summary.json").write_text("{}")
    assert [run.path.name for run in lookup.all_runs(outputs.path)] == ["failed", "good"]
    assert outputs.find() == good
    assert len(outputs.warnings) == 1


def test_temporary_files_and_other_folders_are_no_runs(outputs: Outputs) -> None:
    run = outputs.run("a", best=100)
    (run.checkpoints / ".best.ckpt.0123abcd.tmp").write_bytes(b"half")
    (outputs.path / "sweeps" / "s" / ".hydra").mkdir(parents=True)
    (outputs.path / "notes.txt").touch()
    assert lookup.all_runs(outputs.path) == [run]


def test_no_runs_at_all_says_how_to_get_one(outputs: Outputs) -> None:
    for _ in range(2):  # no such folder; an empty one
        message = outputs.refusal()
        assert message.startswith(f"{outputs.path}: no runs there yet\n")
        assert "python train.py" in message
        outputs.path.mkdir(exist_ok=True)


def test_no_usable_run_at_all_says_so(outputs: Outputs) -> None:
    outputs.run("a")
    outputs.cut_off(outputs.run("b", best=1).best)
    assert "none of the 2 runs there has a usable checkpoint" in outputs.refusal()
    assert len(outputs.warnings) == 2


# A run by name.


def test_a_run_by_its_path(outputs: Outputs) -> None:
    run = outputs.run("a", best=100, last=200)
    outputs.run("newer", best=300)
    assert outputs.resolve(run=str(run.path)) == (run.best, run)


def test_a_run_by_the_last_parts_of_its_path(outputs: Outputs) -> None:
    first = outputs.run("2020-01-01/12-00-00", best=100)
    outputs.run("2020-01-02/12-00-00", best=200)
    third = outputs.run("2020-01-02/13-00-00", best=50)
    assert outputs.resolve(run="13-00-00") == (third.best, third)
    assert outputs.resolve(run="2020-01-01/12-00-00") == (first.best, first)
    message = outputs.refusal(run="12-00-00")
    assert "2 runs have that name" in message
    assert str(first.path) in message


@pytest.mark.parametrize("name", ["nonsense", "x" * 10_000, "a\0b", "a=b, 'c'", ".."])
def test_a_run_that_is_not_there(outputs: Outputs, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    outputs.run("a", best=1)
    monkeypatch.chdir(outputs.path)
    message = outputs.refusal(run=name)
    assert "no such directory" in message or "no checkpoint there" in message


def test_what_is_not_there_is_answered_with_the_newest_runs(outputs: Outputs) -> None:
    for name in ("run", "ckpt_path"):
        message = outputs.refusal(**{name: "nonsense"})
        assert message.splitlines()[1:] == ["there are no runs yet; train first: python train.py"]
    runs = [outputs.run(f"day/{number}", best=number) for number in range(5)]
    _, fourth, third, second, first = (str(run.path) for run in runs)
    for name in ("run", "ckpt_path"):
        message = outputs.refusal(**{name: "nonsense"})
        assert message.splitlines()[1:] == [
            f"run=DIR names a run; the newest: {first}, {second}, {third} and 2 older",
        ]
    assert fourth not in message
    assert outputs.resolve(run=first) == (runs[-1].best, runs[-1]), "what is suggested works"


def test_a_name_that_many_runs_share_still_makes_a_short_message(outputs: Outputs) -> None:
    for number in range(9):
        outputs.run(f"{number}/same", best=number)
    assert "9 runs have that name" in outputs.refusal(run="same")


def test_a_run_directory_without_a_checkpoint(outputs: Outputs) -> None:
    run = outputs.run("a")
    message = outputs.refusal(run=str(run.path))
    assert message.startswith(f"{run.path}: no checkpoint there (best.ckpt or last.ckpt in its folder checkpoints)")


def test_a_folder_of_several_runs_is_not_a_run(outputs: Outputs) -> None:
    outputs.run("sweeps/s/0", best=1)
    outputs.run("sweeps/s/1", best=1)
    assert "name one of the 2 runs below it" in outputs.refusal(run=str(outputs.path / "sweeps" / "s"))


def test_a_run_whose_checkpoints_are_all_damaged_says_what_is_wrong_with_each(outputs: Outputs) -> None:
    run = outputs.run("a", best=1, last=1)
    outputs.damage(run.best)
    outputs.cut_off(run.last)
    first, second, _ = outputs.refusal(run=str(run.path)).splitlines()
    assert "damaged" in first
    assert "cut off" in second


def test_a_file_where_a_run_is_asked_for(outputs: Outputs) -> None:
    run = outputs.run("a", best=1)
    assert "use ckpt_path=" in outputs.refusal(run=str(run.best))


# One checkpoint.


def test_last_and_best_of_a_run(outputs: Outputs) -> None:
    run = outputs.run("a", best=100, last=200)
    outputs.run("newer", best=300)
    for name, path in (("best", run.best), ("last", run.last)):
        assert outputs.resolve(run=str(run.path), ckpt_path=name) == (path, run)


def test_last_of_no_run_in_particular_is_that_of_the_newest_which_has_one(outputs: Outputs) -> None:
    older = outputs.run("older", last=100)
    newer = outputs.run("newer", best=200)
    assert outputs.resolve(ckpt_path="last") == (older.last, older)
    assert outputs.warnings == [f"{newer.path}: no last.ckpt; this run is passed over"]


def test_last_never_gives_way_to_best(outputs: Outputs) -> None:
    run = outputs.run("a", best=100)
    assert "no checkpoint there (last.ckpt" in outputs.refusal(run=str(run.path), ckpt_path="last")


def test_a_file_and_the_run_that_it_belongs_to(outputs: Outputs, tmp_path: Path, checkpoint_bytes: bytes) -> None:
    run = outputs.run("a", best=100)
    kept = run.checkpoints / "step-10.ckpt"
    kept.write_bytes(checkpoint_bytes)
    assert outputs.resolve(ckpt_path=str(kept)) == (kept, run)
    assert outputs.resolve(run=str(run.path), ckpt_path=str(kept)) == (kept, run)
    alone = tmp_path / "alone.ckpt"
    alone.write_bytes(checkpoint_bytes)
    assert outputs.resolve(ckpt_path=str(alone)) == (alone, None)


def test_a_file_of_another_run_than_the_one_named(outputs: Outputs) -> None:
    first, second = outputs.run("a", best=1), outputs.run("b", best=1)
    assert "give only one of the two" in outputs.refusal(run=str(first.path), ckpt_path=str(second.best))


def test_a_file_that_is_not_there(outputs: Outputs) -> None:
    run = outputs.run("a", best=1)
    assert "no such file" in outputs.refusal(ckpt_path="no.ckpt")
    assert "no such file" in outputs.refusal(ckpt_path="x" * 10_000)
    assert "use run=" in outputs.refusal(ckpt_path=str(run.path))


# What a run resumes from.


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the checkpoints that are opened, in order."""
    names: list[str] = []

    def open_and_note(path: str | Path, *arguments: Any, **options: Any) -> int:
        if Path(path).suffix == ".ckpt":
            names.append(Path(path).name)
        return original(path, *arguments, **options)

    original = os.open
    monkeypatch.setattr(os, "open", open_and_note)
    return names


def test_the_newest_usable_checkpoint_is_read_once(outputs: Outputs, opened: list[str]) -> None:
    found = lookup.newest_usable(outputs.run("a", **{"best": 100, "last": 100, "last-1": 90}))
    assert found is not None
    assert found.path.name == "last.ckpt"
    assert found.content == {"lstm_lm": {"schema_version": 1}}
    assert found.digest in found.path.read_bytes()[-64:].decode()
    assert found.problems == ()
    assert opened == ["last.ckpt"]


def test_damaged_checkpoints_are_passed_over_after_one_look_at_each(outputs: Outputs, opened: list[str]) -> None:
    run = outputs.run("a", **{"best": 100, "last": 100, "last-1": 90, "last-2": 80})
    outputs.damage(run.last)
    outputs.cut_off(run.checkpoints / "last-1.ckpt")
    found = lookup.newest_usable(run)
    assert found is not None
    assert found.path.name == "last-2.ckpt"
    assert "last.ckpt: the checkpoint is damaged" in found.problems[0]
    assert "last-1.ckpt: the checkpoint is cut off" in found.problems[1]
    assert opened == ["last.ckpt", "last-1.ckpt", "last-2.ckpt"]


def test_the_best_checkpoint_is_usable_where_no_last_one_is(outputs: Outputs) -> None:
    run = outputs.run("a", best=100, last=100)
    outputs.cut_off(run.last)
    found = lookup.newest_usable(run)
    assert found is not None
    assert found.path == run.best
    assert len(found.problems) == 1


def test_a_run_without_checkpoints_is_told_from_one_whose_checkpoints_are_all_damaged(outputs: Outputs) -> None:
    assert lookup.newest_usable(outputs.run("empty")) is None
    run = outputs.run("a", best=100, last=100)
    for path in (run.best, run.last):
        outputs.cut_off(path)
    with pytest.raises(UserError, match=r"last\.ckpt.*\n.*best\.ckpt.*\n.*good copy") as caught:
        lookup.newest_usable(run)
    assert len(str(caught.value).splitlines()) <= 4


# Runs that are still training.


def test_a_file_that_is_replaced_just_now_is_tried_again(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    run = outputs.run("a", best=100)
    verify, calls = checkpoint_file.verify, 0

    def replaced_meanwhile(path: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise checkpoint_file.MissingCheckpoint("gone between listing and opening")
        verify(path)

    monkeypatch.setattr(checkpoint_file, "verify", replaced_meanwhile)
    assert outputs.resolve() == (run.best, run)
    assert calls == 2
    assert outputs.warnings == []


def test_a_run_that_saves_all_the_time_is_always_found(outputs: Outputs) -> None:
    run = outputs.run("a", best=100, last=100)
    done = threading.Event()

    def train() -> None:
        while not done.is_set():
            for path in (run.best, run.last):
                checkpoint_file.save({"lstm_lm": {"schema_version": 1}}, path)

    writer = threading.Thread(target=train)
    writer.start()
    try:
        for _ in range(50):
            assert outputs.resolve() == (run.best, run)
    finally:
        done.set()
        writer.join()
    assert outputs.warnings == []


def test_looking_for_a_run_imports_neither_torch_nor_lightning_nor_hydra(outputs: Outputs) -> None:
    run = outputs.run("a", best=100)
    code = (
        "import sys; from pathlib import Path; from lstm_lm.runs import lookup, summary, metrics_file\n"
        "print(lookup.resolve(None, None, Path(sys.argv[1]))[1].path)\n"
        "print([name for name in ('torch', 'lightning', 'hydra') if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(outputs.path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert answer.stdout.splitlines() == [str(run.path), "[]"]
