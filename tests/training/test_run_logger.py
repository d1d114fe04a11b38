"""What TensorBoard and metrics.csv get to see."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

import lstm_lm
from lstm_lm.runs import metrics_file
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training.run_logger import RunLogger, flat

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
        "system/cpu_percent",
        "system/ram_bytes",
        "val/loss",
        "val/perplexity",
        "val/bits_per_character",
        "val/bits_per_byte",
    } <= names
    for name in names:
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
    (event,) = events(run).Tensors("runtime/forward/text_summary")
    assert reason
    assert event.tensor_proto.string_val[0].decode().endswith(f": {reason}")


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
    assert {"final/val/loss", "final/val/bits_per_byte", "final/train/tokens_per_second"} <= metrics


def test_a_metric_without_a_step_is_refused(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.create()
    logger = RunLogger(directory, tensorboard=False)
    with pytest.raises(ValueError, match="step"):
        logger.log_metrics({"x": 1.0})


def test_a_histogram_of_what_is_not_finite_is_left_out(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.create()
    logger = RunLogger(directory, tensorboard=True)
    logger.begin()
    logger.log_histogram("bad", torch.tensor([1.0, float("nan")]), 1)
    logger.log_histogram("good", torch.tensor([1.0, 2.0]), 1)
    logger.close()
    assert events(tmp_path).Tags()["histograms"] == ["good"]


def test_nested_choices_become_dotted_names() -> None:
    assert flat({"a": {"b": 1, "c": [1, 2]}, "d": None}) == {"a.b": 1, "a.c": "[1, 2]", "d": "None"}
