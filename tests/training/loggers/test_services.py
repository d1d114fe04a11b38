"""Tracking services by name: the same series as `metrics.csv`, one run there for one run here, and clear refusals.

MLflow's client itself where it is installed, with a database in a file; else a stand-in, below Lightning's logger.
"""

import importlib.util
import json
import signal
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import lightning.pytorch as pl
import mlflow_stand_in
import pytest

import lstm_lm
from lstm_lm.errors import Interrupted, UserError
from lstm_lm.runs import metrics_file, summary
from lstm_lm.training.loggers import logger_options

pytestmark = pytest.mark.filterwarnings("default")  # what these packages warn of is theirs

Config = Callable[..., dict[str, Any]]
Series = dict[str, list[tuple[int, float]]]
HAS_MLFLOW = importlib.util.find_spec("mlflow") is not None
SHORT = ("trainer.max_steps=6", "trainer.log_every_n_steps=2", "trainer.limit_val_batches=2", "data.test_fraction=0.1")


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Series]:
    """All that MLflow has of the run in a directory, by the id that its summary says."""

    def series(run: Path) -> Series:
        (logger,) = summary.read(run / "summary.json").loggers or []
        found: Series = {}
        if not HAS_MLFLOW:
            for key, step, value in mlflow_stand_in.RUNS[logger.version]["metrics"]:
                found.setdefault(key, []).append((step, value))
            return found
        from mlflow.tracking import MlflowClient  # type: ignore[import-not-found]

        client = MlflowClient(f"sqlite:///{run.parent / 'mlflow.db'}")
        for key in client.get_run(logger.version).data.metrics:
            found[key] = [(point.step, point.value) for point in client.get_metric_history(logger.version, key)]
        return found

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if not HAS_MLFLOW:
        mlflow_stand_in.put_in_place(monkeypatch)
    return series


class InterruptedAt(pl.Callback):
    def __init__(self, step: int) -> None:
        self._step = step

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self._step:
            signal.raise_signal(signal.SIGTERM)


def of_metrics_csv(run: Path) -> Series:
    found: Series = {}
    for row in metrics_file.read(run / "metrics.csv"):
        for key, value in row.items():
            if key != "step":
                found.setdefault(key, []).append((int(row["step"]), value))
    return found


def of_tensorboard(run: Path) -> Series:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    keys = [key for key in events.Tags()["scalars"] if not key.startswith("with_best/")]
    return {key: [(point.step, point.value) for point in events.Scalars(key)] for key in keys}


def test_mlflow_and_tensorboard_side_by_side_hold_what_metrics_csv_does(
    mlflow: Callable[[Path], Series], small_config: Config, tmp_path: Path
) -> None:
    """Through an interruption as well; MLflow would refuse another length of training as a changed parameter."""
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        lstm_lm.train(small_config("logger=mlflow", *SHORT), run, callbacks=[InterruptedAt(3)])
    begun = summary.read(run / "summary.json").loggers
    lstm_lm.train(small_config("logger=mlflow", *SHORT, "resume=auto", "trainer.max_steps=8"), run)
    assert summary.read(run / "summary.json").loggers == begun
    expected = of_metrics_csv(run)
    assert mlflow(run) == expected
    assert {"train/loss", "val/loss", "val/bits_per_byte", "test/loss"} <= set(expected)
    shown = of_tensorboard(run)
    assert {key: [step for step, _ in points] for key, points in shown.items()} == {
        key: [step for step, _ in points]
        for key, points in expected.items()
        if key != "epoch"  # a straight line
    }
    for key, points in shown.items():
        assert [value for _, value in points] == pytest.approx([value for _, value in expected[key]], rel=1e-6)


@pytest.mark.skipif(HAS_MLFLOW, reason="the stand-in forgets a run at will")
def test_a_run_that_a_service_has_lost_is_begun_anew_there(
    mlflow: Callable[[Path], Series], small_config: Config, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        lstm_lm.train(small_config("logger=mlflow", *SHORT), run, callbacks=[InterruptedAt(3)])
    mlflow_stand_in.RUNS.clear()
    mlflow_stand_in.RUNS["another"] = {}
    lstm_lm.train(small_config("logger=mlflow", *SHORT, "resume=auto"), run)
    assert [step for step, _ in mlflow(run)["train/loss"]] == [4, 6]
    assert mlflow_stand_in.RUNS[f"{1:032x}"]["status"] == "FINISHED"


@pytest.mark.parametrize("name", ["mlflow", "wandb", "comet"])
def test_a_package_that_is_missing_is_named_with_what_installs_it(
    name: str, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=rf'^logger={name}: .*pip install -e "\.\[{name}\]"$'):
        lstm_lm.train(small_config(f"logger={name}"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_comets_key_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("COMET_CONFIG", "COMET_API_KEY", "COMET_START_ONLINE"):
        monkeypatch.delenv(variable, raising=False)
    options = logger_options(lstm_lm.compose("logger=comet")["logger"])
    assert "COMET_API_KEY" in (options.missing() or "")
    for variable, value in (("COMET_API_KEY", "secret"), ("COMET_START_ONLINE", "false")):
        with monkeypatch.context() as now:
            now.setenv(variable, value)
            assert options.missing() is None


@pytest.mark.parametrize("has_key", [True, False])
def test_wandbs_key_that_is_missing_is_named_and_none_is_needed_offline(
    has_key: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where keys may be is W&B's to know: files, variables and hosts change with its versions."""
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    wandb = ModuleType("wandb")
    wandb.login = lambda **options: asked.append(options) or has_key  # type: ignore[attr-defined, func-returns-value]
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    line = logger_options(lstm_lm.compose("logger=wandb")["logger"]).missing()
    assert line is None if has_key else "WANDB_API_KEY" in str(line)
    assert asked == [{"prompt": False, "verify": False}], "no question at the terminal, nor to a server"
    assert logger_options(lstm_lm.compose("logger=wandb", "logger.offline=true")["logger"]).missing() is None
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert logger_options(lstm_lm.compose("logger=wandb")["logger"]).missing() is None
    assert len(asked) == 1


def test_a_service_that_does_not_answer_is_refused_before_training(
    mlflow: Callable[[Path], Series], small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr("lightning.pytorch.loggers.MLFlowLogger.experiment", property(refuse))
    with pytest.raises(UserError, match=r"logger=mlflow: .*no route to host") as caught:
        lstm_lm.train(small_config("logger=mlflow"), tmp_path / "run")
    assert len(str(caught.value).splitlines()) <= 4
    assert not (tmp_path / "run" / "metrics.csv").exists()


# The services themselves, without a network, where they are installed


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
def test_wandb_is_given_what_metrics_csv_holds_through_an_interruption(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wandb.sdk.wandb_run import Run  # type: ignore[import-not-found, unused-ignore]

    given: Series = {}
    log = Run.log

    def listen(run: Any, data: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        for key, value in data.items():
            given.setdefault(key, []).append((data["trainer/global_step"], value))
        log(run, data, *args, **kwargs)

    monkeypatch.setattr(Run, "log", listen)
    monkeypatch.setenv("WANDB_SILENT", "true")
    offline = ("logger=wandb", "logger.offline=true", *SHORT)
    with pytest.raises(Interrupted):
        lstm_lm.train(small_config(*offline), tmp_path / "run", callbacks=[InterruptedAt(3)])
    begun = summary.read(tmp_path / "run" / "summary.json").loggers
    assert lstm_lm.train(small_config(*offline, "resume=auto"), tmp_path / "run").loggers == begun
    del given["trainer/global_step"]
    assert given == of_metrics_csv(tmp_path / "run")
    assert len(list((tmp_path / "run" / "wandb").glob(f"offline-run-*-{begun[0].version}"))) == 2  # type: ignore[index]


@pytest.mark.skipif(importlib.util.find_spec("comet_ml") is None, reason="comet-ml is not installed")
def test_comets_archives_hold_what_metrics_csv_does_through_an_interruption(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMET_START_ONLINE", "false")
    monkeypatch.setenv("COMET_OFFLINE_DIRECTORY", str(tmp_path / "comet"))
    with pytest.raises(Interrupted):
        lstm_lm.train(small_config("logger=comet", *SHORT), tmp_path / "run", callbacks=[InterruptedAt(3)])
    begun = summary.read(tmp_path / "run" / "summary.json").loggers
    assert lstm_lm.train(small_config("logger=comet", *SHORT, "resume=auto"), tmp_path / "run").loggers == begun
    given: Series = {}
    for archive in (tmp_path / "comet").glob("*.zip"):
        with zipfile.ZipFile(archive) as file:
            messages = [json.loads(line)["payload"] for line in file.read("messages.json").splitlines()]
        for metric in (message["metric"] for message in messages if message.get("metric")):
            given.setdefault(metric["metricName"], []).append((metric["step"], metric["metricValue"]))
    expected = of_metrics_csv(tmp_path / "run")
    del expected["epoch"]  # Comet's own axis
    assert {key: sorted(given[key]) for key in expected} == expected
