"""What a run writes, and what holds between its files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

import lstm_lm
from lstm_lm.runs import checkpoint_file, metrics_file, rotation
from lstm_lm.runs.board import as_markdown
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.summary import Summary
from lstm_lm.runs.writer import Resumed, RunWriter

Config = Callable[..., dict[str, Any]]


def events(run: Path) -> EventAccumulator:
    accumulator = EventAccumulator(
        str(run / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0, "histograms": 0}
    )
    accumulator.Reload()
    return accumulator


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, small_text: str) -> Path:
    folder = tmp_path_factory.mktemp("logged")
    (folder / "text.txt").write_text(small_text)
    config = lstm_lm.compose(
        "data=text",
        f"data.path='{folder / 'text.txt'}'",
        f"data.cache_dir='{folder / 'cache'}'",
        "data.batch_size=4",
        "data.seq_len=16",
        "model.hidden_size=16",
        "device=cpu",
        "precision=32-true",
        "trainer.max_epochs=2",
        "trainer.log_every_n_steps=5",
        "callbacks.samples.length=20",
        "callbacks.monitor.histograms_every_n_steps=20",
    )
    lstm_lm.train(config, folder / "run")
    return folder / "run"


def test_tensorboard_and_the_table_have_the_same_scalars_under_the_same_names(run: Path) -> None:
    seen = events(run)
    rows = metrics_file.read(run / "metrics.csv")
    names = {name for row in rows for name in row} - {"step"}
    assert {
        "epoch",
        "train/loss",
        "train/learning_rate",
        "train/gradient_norm",
        "train/step_ms",
        "train/seconds",
        "train/tokens_per_second",
        "train/epoch_seconds",
        "usage/cpu_percent",
        "usage/ram_bytes",
        "val/loss",
        "val/perplexity",
        "val/bits_per_character",
        "val/bits_per_byte",
    } <= names
    for name in names - {"epoch"}:  # a straight line
        table = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
        board = [(event.step, event.value) for event in seen.Scalars(name)]
        assert [step for step, _ in table] == [step for step, _ in board], name
        assert [value for _, value in table] == pytest.approx([value for _, value in board], rel=1e-6), name


def test_a_row_every_so_many_steps_one_with_each_validation_and_the_last(run: Path) -> None:
    steps = [int(row["step"]) for row in metrics_file.read(run / "metrics.csv")]
    assert steps == sorted({*range(5, 87, 5), 43, 86})


def test_the_seconds_of_training_grow_up_to_those_of_the_summary(run: Path) -> None:
    seconds = [row["train/seconds"] for row in metrics_file.read(run / "metrics.csv") if "train/seconds" in row]
    assert len(seconds) > 10
    assert seconds == sorted(seconds)
    assert seconds[0] > 0
    assert seconds[-1] <= json.loads((run / "summary.json").read_text())["train"]["seconds"]


def test_samples_are_texts(run: Path) -> None:
    tags = events(run).Tags()["tensors"]
    assert "sample/text_summary" in tags
    assert "sample/final/text_summary" in tags


def test_the_strategy_that_runs_and_why_is_a_text(run: Path) -> None:
    reason = json.loads((run / "summary.json").read_text())["runtime"]["forward_reason"]
    (event,) = events(run).Tensors("settings/forward/text_summary")
    assert reason
    assert event.tensor_proto.string_val[0].decode().endswith(as_markdown(f": {reason}").removeprefix("> "))


def test_histograms_of_weights_and_gradients_where_asked_for(run: Path) -> None:
    seen = events(run)
    weight = "model.stack.weight_hh_l0"
    for kind in ("weights", "gradients"):
        assert [event.step for event in seen.Histograms(f"{kind}/{weight}")] == [0, 20, 40, 60, 80]


def test_the_hparams_tab_has_the_choices_and_several_metrics(run: Path) -> None:
    metadata = events(run).summary_metadata
    contents = [
        plugin_data_pb2.HParamsPluginData.FromString(m.plugin_data.content)
        for m in metadata.values()
        if m.plugin_data.plugin_name == "hparams"
    ]
    started = [content.session_start_info for content in contents if content.HasField("session_start_info")]
    (session,) = started
    assert session.hparams["model.hidden_size"].number_value == 16
    assert session.hparams["forward"].string_value == "auto"
    (experiment,) = [content.experiment for content in contents if content.HasField("experiment")]
    metrics = {info.name.tag for info in experiment.metric_infos}
    assert {"with_best/val/loss", "with_best/val/bits_per_byte", "with_best/train/tokens_per_second"} <= metrics


def writer_of(folder: Path, resumed: Resumed | None = None) -> RunWriter:
    summary = Summary.begin("train", 1)
    return RunWriter(
        RunDirectory(folder), summary, tensorboard=True, keep=3, resumed=resumed, record={}, warn=lambda _: None
    )


def test_a_histogram_of_what_is_not_finite_is_left_out(tmp_path: Path) -> None:
    writer = writer_of(tmp_path)
    writer.begin()
    writer.histogram("bad", torch.tensor([1.0, float("nan")]), 1)
    writer.histogram("good", torch.tensor([1.0, 2.0]), 1)
    writer.end("completed")
    assert events(tmp_path).Tags()["histograms"] == ["good"]


def checkpoint_of(step: int) -> dict[str, Any]:
    return {"global_step": step, "lstm_lm": {"schema_version": 1}}


def test_before_the_first_step_nothing_is_written(tmp_path: Path) -> None:
    """A run that is refused leaves what was there, and not even an empty folder."""
    writer = writer_of(tmp_path / "run")
    writer.row(1, {"train/loss": 2.0})
    writer.text("note", "text", 1)
    writer.file(tmp_path / "run" / "tuning.json", "{}")
    writer.end("interrupted", "stopped by signal 2")
    assert list((tmp_path / "run").iterdir()) == []


def test_a_run_that_fails_while_it_starts_says_so_where_no_other_run_is(tmp_path: Path) -> None:
    writer_of(tmp_path / "new").end("failed", "out of memory")
    assert json.loads((tmp_path / "new" / "summary.json").read_text())["reason"] == "out of memory"
    first = writer_of(tmp_path / "old")
    first.begin()
    first.end("completed")
    writer_of(tmp_path / "old", Resumed(0)).end("failed", "out of memory")
    assert json.loads((tmp_path / "old" / "summary.json").read_text())["status"] == "completed"


def test_what_waited_is_written_when_the_run_begins(tmp_path: Path) -> None:
    writer = writer_of(tmp_path)
    writer.row(1, {"train/loss": 2.0})
    writer.file(tmp_path / "tuning.json", "{}")
    writer.begin()
    writer.end("completed")
    assert metrics_file.read(tmp_path / "metrics.csv") == [{"step": 1, "train/loss": 2.0}]
    assert (tmp_path / "tuning.json").read_text() == "{}"


def test_rows_are_on_the_disk_before_the_checkpoint_that_covers_them(tmp_path: Path) -> None:
    """That of its own step is in it: a validation may still add to it."""
    writer = writer_of(tmp_path)
    writer.begin()
    run = writer.run
    for step in (1, 2):
        writer.row(step, {"train/loss": float(step)})
    assert writer.save(checkpoint_of(2), run.last)
    assert metrics_file.read(run.metrics) == [{"step": 1, "train/loss": 1.0}]
    assert writer.open_row == {"step": 2, "train/loss": 2.0}
    assert writer.save(checkpoint_of(3), run.last)
    assert writer.open_row == {"step": 2, "train/loss": 2.0}, "no row of step 3 was logged"


def test_one_step_is_saved_once(tmp_path: Path) -> None:
    """A second time would push out the checkpoint before it."""
    writer = writer_of(tmp_path)
    writer.begin()
    for step in (5, 10, 10, 10):
        assert writer.save(checkpoint_of(step), writer.run.last)
    steps = [checkpoint_file.load(path)["global_step"] for path in rotation.existing(writer.run.last)]
    assert steps == [10, 5]


def test_a_resumed_run_has_each_point_once(tmp_path: Path) -> None:
    """Killed after a validation whose points are on the disk, and whose row is in no file yet."""
    killed = writer_of(tmp_path)
    killed.begin()
    for step in (1, 2):
        killed.row(step, {"train/loss": float(step)})
    row = killed.open_row
    assert killed.save(checkpoint_of(2), killed.run.last)
    killed.row(2, {"val/loss": 2.5})
    killed.row(3, {"train/loss": 3.0})
    killed._sync()
    resumed = writer_of(tmp_path, Resumed(2, killed.run.last, row))
    resumed.row(2, {"val/loss": 2.5})  # made up for, before the first step
    resumed.begin()
    resumed.row(3, {"train/loss": 3.0})
    resumed.end("completed")
    assert metrics_file.read(tmp_path / "metrics.csv") == [
        {"step": 1, "train/loss": 1.0},
        {"step": 2, "train/loss": 2.0, "val/loss": 2.5},
        {"step": 3, "train/loss": 3.0},
    ]
    board = events(tmp_path)
    assert [event.step for event in board.Scalars("train/loss")] == [1, 2, 3]
    assert [event.step for event in board.Scalars("val/loss")] == [2]


def test_nothing_that_is_said_can_end_a_run(tmp_path: Path) -> None:
    def broken(line: str) -> None:
        raise BrokenPipeError(line)

    summary = Summary.begin("train", 1)
    writer = RunWriter(RunDirectory(tmp_path), summary, tensorboard=False, keep=1, resumed=None, record={}, warn=broken)
    writer.notify("something")
