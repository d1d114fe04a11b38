"""`trainer.profiler`: reports in the run directory, however the run ends."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import lstm_lm
from lstm_lm.errors import Interrupted, RunError
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.observers.profiling import make_profiler

Config = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    ("name", "told"),
    [("simple", "run_training_batch"), ("advanced", "training_step"), ("pytorch", "ProfilerStep")],
)
def test_there_is_a_report_of_each_stage_and_the_last_lines_say_where(
    name: str, told: str, small_config: Config, tmp_path: Path
) -> None:
    config = small_config(
        f"trainer.profiler={name}",
        "data.test_fraction=0.2",
        "trainer.max_steps=8",
        "trainer.limit_test_batches=6",
        "callbacks.samples.length=0",
    )
    console = Console(file=io.StringIO(), width=200)
    lstm_lm.train(config, tmp_path / "run", console=console)
    folder = tmp_path / "run" / "profiler"
    assert told in (folder / "fit-profile.txt").read_text()
    assert {path.name for path in folder.glob("*.txt")} == {
        f"{stage}-profile.txt" for stage in ("fit", "validate", "test")
    }
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert [line for line in shown.splitlines() if line.startswith("profile ")] == [f"profile {folder}"]
    traces = list(folder.glob("fit-*.pt.trace.json"))
    assert len(traces) == (name == "pytorch"), "of three steps, however many are trained"
    for trace in traces:
        assert any("aten::" in event.get("name", "") for event in json.loads(trace.read_text())["traceEvents"])


@pytest.mark.parametrize("name", ["simple", "advanced", "pytorch"])
def test_a_run_that_is_interrupted_leaves_its_report_too(
    name: str, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(task: LanguageModelTask, *arguments: Any) -> Any:
        if task.trainer.global_step == 4:
            raise Interrupted(15)
        return step(task, *arguments)

    step = LanguageModelTask.training_step
    monkeypatch.setattr(LanguageModelTask, "training_step", interrupted)
    with pytest.raises(Interrupted):
        lstm_lm.train(small_config(f"trainer.profiler={name}"), tmp_path / "run")
    assert (tmp_path / "run" / "profiler" / "fit-profile.txt").stat().st_size > 0


def test_a_run_that_is_refused_leaves_none(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> Any:
        raise Interrupted(15)

    monkeypatch.setattr(LanguageModelTask, "training_step", interrupted)
    with pytest.raises(Interrupted):
        lstm_lm.train(small_config("trainer.profiler=simple"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_is_told_in_two_lines(tmp_path: Path) -> None:
    (tmp_path / "profiler").write_text("a file")
    profiler = make_profiler("simple", tmp_path / "profiler", 0, 1)
    assert profiler is not None
    profiler.setup("fit")
    with profiler.profile("something"):
        pass
    with pytest.raises(RunError, match=r"profiler: cannot be written") as caught:
        profiler.describe()
    assert len(str(caught.value).splitlines()) == 2


def test_each_process_has_its_own_report(tmp_path: Path) -> None:
    for rank in range(2):
        profiler = make_profiler("simple", tmp_path, rank, 2)
        assert profiler is not None
        profiler.setup("fit", local_rank=0)
        with profiler.profile(f"of process {rank}"):
            pass
        profiler.describe()
        assert f"of process {rank}" in (tmp_path / f"fit-profile-rank{rank}.txt").read_text()
    assert len(list(tmp_path.iterdir())) == 2
