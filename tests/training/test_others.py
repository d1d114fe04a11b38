"""Other people's loggers and callbacks in a run: what they see, and what they cannot spoil."""

import signal
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, LearningRateFinder, ModelCheckpoint, Timer, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger

import lstm_lm
from lstm_lm.errors import Interrupted, UserError
from lstm_lm.runs import checkpoint_file, metrics_file
from lstm_lm.runs.directory import RunDirectory

Config = Callable[..., dict[str, Any]]

SHORT = (
    *("callbacks.samples.length=0", "trainer.max_steps=12", "trainer.log_every_n_steps=3", "logger.tensorboard=false"),
    *("trainer.val_check_interval=4", "trainer.limit_val_batches=2", "callbacks.checkpoint.every_n_steps=5"),
)


@pytest.fixture
def short(small_config: Config) -> Config:
    """12 steps, a row with every third, validations after 4, 8 and 12, checkpoints at 5 and 10, too."""

    def make(*overrides: str) -> dict[str, Any]:
        return small_config(*SHORT, *overrides)

    return make


class Heard(Logger):
    """A logger that keeps what it is given."""

    name, version = "heard", "of this run"

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[int, dict[str, float]] = {}
        self.hyperparameters: list[dict[str, Any]] = []
        self.ended: list[str] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        assert step is not None
        row = self.rows.setdefault(step, {})
        assert not row.keys() & metrics.keys(), "nothing twice"
        row.update(metrics)

    def log_hyperparams(self, params: dict[str, Any], *_: Any) -> None:
        self.hyperparameters.append(params)

    def finalize(self, status: str) -> None:
        self.ended.append(status)


class At(pl.Callback):
    """Does something at the end of a step."""

    def __init__(self, step: int, do: Callable[[pl.Trainer, pl.LightningModule], object]) -> None:
        self._step, self._do = step, do

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if trainer.global_step == self._step:
            self._do(trainer, pl_module)


def interrupt(step: int) -> At:
    return At(step, lambda *_: signal.raise_signal(signal.SIGTERM))


class Counter(pl.Callback):
    """Has a state, of each kind that one may have."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {
            "steps": 0,
            "mean": 0.0,
            "sum": 0,
            "seen": torch.zeros(2),
            "names": [],
            "best": None,
            "all": torch.empty(0),
        }

    def on_train_batch_end(self, *_: Any) -> None:
        self.state["steps"] += 1
        self.state["sum"] += 0.5  # a number that began as 0
        self.state["best"] = {"loss": torch.tensor(0.5)}
        self.state["all"] = torch.zeros(self.state["steps"])

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.state = state_dict


def weights(run: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = checkpoint_file.load(run / "checkpoints" / "last.ckpt")["state_dict"]
    return found


def assert_same(one: Path, two: Path) -> None:
    for name, weight in weights(one).items():
        assert torch.equal(weight, weights(two)[name]), name


# What they see


def test_a_logger_is_given_all_that_metrics_csv_is(short: Config, tmp_path: Path) -> None:
    heard = Heard()
    lstm_lm.train(short("data.test_fraction=0.1"), tmp_path / "run", loggers=[heard])
    rows = {row.pop("step"): row for row in metrics_file.read(tmp_path / "run" / "metrics.csv")}
    assert heard.rows == rows
    assert {"train/loss", "val/loss", "test/loss"} <= set(rows[12])
    assert heard.hyperparameters[0]["optimizer"]["name"] == "muon"
    assert set(heard.ended) == {"success"}


def test_a_run_in_two_parts_tells_a_logger_what_one_in_one_does(short: Config, tmp_path: Path) -> None:
    whole, parts = Heard(), Heard()
    lstm_lm.train(short(), tmp_path / "whole", loggers=[whole])
    with pytest.raises(Interrupted):
        lstm_lm.train(short(), tmp_path / "parts", loggers=[parts], callbacks=[interrupt(6)])
    summary = lstm_lm.train(short("resume=auto"), tmp_path / "parts", loggers=[parts])
    timed = {"train/step_ms", "train/tokens_per_second"}  # by a process, the first steps left out
    assert [(step, row.keys() - timed) for step, row in parts.rows.items()] == [
        (step, row.keys() - timed) for step, row in whole.rows.items()
    ]
    assert all(row.get("train/loss") == whole.rows[step].get("train/loss") for step, row in parts.rows.items())
    assert len(parts.hyperparameters) == 1, "it continues what it had begun"
    assert summary.loggers is not None
    assert summary.loggers[0].version == "of this run"


def test_lightnings_own_loggers_and_bars_work(short: Config, tmp_path: Path) -> None:
    bar = TQDMProgressBar(refresh_rate=0)
    lstm_lm.train(short(), tmp_path / "run", loggers=[CSVLogger(tmp_path, "csv")], callbacks=[bar])
    assert "val/bits_per_byte" in (tmp_path / "csv" / "version_0" / "metrics.csv").read_text()


def test_a_callback_finds_every_metric(short: Config, tmp_path: Path) -> None:
    seen: dict[str, float] = {}

    def look(trainer: pl.Trainer, _: pl.LightningModule) -> None:
        assert set(trainer.callback_metrics) == set(trainer.logged_metrics) | {"val/loss"}
        seen.update({name: float(value) for name, value in trainer.callback_metrics.items()})

    lstm_lm.train(short(), tmp_path / "run", callbacks=[At(9, look)])
    rows = {row["step"]: row for row in metrics_file.read(tmp_path / "run" / "metrics.csv")}
    assert seen["train/loss"] == pytest.approx(rows[9]["train/loss"])
    assert seen["val/perplexity"] == pytest.approx(rows[8]["val/perplexity"])
    assert set(seen) == {*rows[9], *rows[8]} - {"step"}


def test_what_a_callback_logs_joins_the_row_of_its_step(short: Config, tmp_path: Path) -> None:
    class Mine(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
            pl_module.log("mine/twice", 2.0 * trainer.global_step)
            pl_module.log("train/loss", -1.0)

        def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            pl_module.log("mine/validated", float(trainer.global_step))

    lstm_lm.train(short(), tmp_path / "run", callbacks=[Mine()])
    rows = {row["step"]: row for row in metrics_file.read(tmp_path / "run" / "metrics.csv")}
    assert {step: row.get("mine/twice") for step, row in rows.items()} == {3: 6, 4: None, 6: 12, 8: None, 9: 18, 12: 24}
    assert [rows[step]["mine/validated"] for step in (4, 8, 12)] == [4, 8, 12]
    assert rows[3]["train/loss"] > 0, "a run's own names stay its own"


# What they may do


def test_early_stopping_of_lightnings_ends_a_run_and_survives_an_interruption(short: Config, tmp_path: Path) -> None:
    """Nothing is a million better, so the second validation after the first is one too many."""

    def patient() -> EarlyStopping:
        return EarlyStopping("val/perplexity", min_delta=1e6, patience=2)

    whole = lstm_lm.train(short("trainer.max_steps=40"), tmp_path / "whole", callbacks=[patient()])
    assert (whole.status, whole.reason, whole.train.steps) == ("stopped", "a callback", 12)
    with pytest.raises(Interrupted):
        lstm_lm.train(short("trainer.max_steps=40"), tmp_path / "parts", callbacks=[patient(), interrupt(10)])
    again = short("trainer.max_steps=40", "resume=auto")
    parts = lstm_lm.train(again, tmp_path / "parts", callbacks=[patient()])
    assert (parts.status, parts.train.steps) == ("stopped", 12)
    assert_same(tmp_path / "whole", tmp_path / "parts")


def test_a_run_that_its_callback_has_stopped_is_complete(short: Config, tmp_path: Path) -> None:
    """As with `callbacks.early_stopping`: until the callback has more patience, or is left out."""

    class Enough(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            trainer.should_stop |= trainer.global_step == 7

    def patient(patience: int) -> EarlyStopping:
        return EarlyStopping("val/loss", min_delta=1e6, patience=patience)

    first, again, steps = short(), short("resume=auto"), lambda run: run.train.steps
    for run, stopper in (("patience", patient(1)), ("own", Enough())):
        assert lstm_lm.train(first, tmp_path / run, callbacks=[stopper]).status == "stopped"
        ended = (tmp_path / run / "summary.json").read_bytes()
        lstm_lm.train(again, tmp_path / run, callbacks=[patient(1) if run == "patience" else Enough()])
        assert (tmp_path / run / "summary.json").read_bytes() == ended, "nothing is done"
    assert steps(lstm_lm.train(again, tmp_path / "patience", callbacks=[patient(2)])) == 12
    bars = [TQDMProgressBar(refresh_rate=0)]
    assert steps(lstm_lm.train(again, tmp_path / "own", callbacks=bars)) == 12, "it stops nothing"


def test_model_checkpoint_keeps_what_it_is_asked_to(short: Config, tmp_path: Path) -> None:
    best = ModelCheckpoint(monitor="val/loss", save_top_k=2, filename="{step}", save_last=True)
    lstm_lm.train(short(), tmp_path / "run", callbacks=[best])
    folder = tmp_path / "run" / "checkpoints" / "callbacks"
    assert sorted(path.name for path in folder.iterdir()) == ["last.ckpt", "step=12.ckpt", "step=8.ckpt"]
    assert lstm_lm.load(ckpt_path=folder / "step=8.ckpt").tokenizer.vocabulary_size


def test_what_a_callback_raises_ends_the_run_with_its_traceback_and_the_run_can_go_on(
    short: Config, tmp_path: Path
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("in a callback of mine")

    heard = Heard()
    with pytest.raises(ZeroDivisionError) as caught:
        lstm_lm.train(short(), tmp_path / "run", loggers=[heard], callbacks=[At(7, fail)])
    assert any(entry.name == "fail" for entry in caught.traceback)
    assert heard.ended == ["failed"]
    run = RunDirectory(tmp_path / "run")
    assert '"status": "failed"' in run.summary.read_text()
    assert checkpoint_file.load(run.last)["global_step"] == 5
    lstm_lm.train(short("resume=auto"), run.path)
    lstm_lm.train(short(), tmp_path / "whole")
    assert_same(run.path, tmp_path / "whole")


# What a checkpoint knows of them


def test_a_state_comes_back_and_one_without_its_callback_is_left_out(short: Config, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        lstm_lm.train(short(), tmp_path / "run", callbacks=[Counter(), interrupt(6)])
    counter = Counter()
    with pytest.raises(Interrupted):
        lstm_lm.train(short("resume=auto"), tmp_path / "run", callbacks=[counter, interrupt(9)])
    assert counter.state["steps"] == 9
    summary = lstm_lm.train(short("resume=auto"), tmp_path / "run")
    assert any("Counter" in line and "left out" in line for line in summary.runtime.warnings or [])
    again = Counter()
    longer = short("resume=force", "trainer.max_steps=14")
    summary = lstm_lm.train(longer, tmp_path / "run", callbacks=[again])
    assert again.state["steps"] == 2
    assert any("Counter" in line and "anew" in line for line in summary.runtime.warnings or [])


@pytest.mark.parametrize(
    "foreign", [{1, 2}, b"bytes", 2**70, {(1, 2): 3}, Path(), defaultdict(int)], ids=lambda value: type(value).__name__
)
def test_a_state_that_no_checkpoint_gives_back_is_refused(foreign: Any, short: Config, tmp_path: Path) -> None:
    counter = Counter()
    counter.state["best"] = foreign
    with pytest.raises(UserError, match=r"Counter\.state_dict"):
        lstm_lm.train(short(), tmp_path / "run", callbacks=[counter])
    assert not (tmp_path / "run" / "metrics.csv").exists()


def test_one_that_becomes_so_spoils_no_checkpoint(short: Config, tmp_path: Path) -> None:
    counter = Counter()
    change = At(7, lambda *_: counter.state.update(names=[{1, 2}]))
    with pytest.raises(UserError, match=r"Counter\.state_dict") as caught:
        lstm_lm.train(short(), tmp_path / "run", callbacks=[counter, change])
    assert len(str(caught.value).splitlines()) <= 4
    assert lstm_lm.train(short("resume=auto"), tmp_path / "run").status == "completed"


def test_a_state_that_is_there_only_in_training_comes_back(short: Config, tmp_path: Path) -> None:
    class Late(pl.Callback):
        def setup(self, *_: Any, **__: Any) -> None:
            self.seen = getattr(self, "seen", 0) + 1

        def state_dict(self) -> dict[str, Any]:
            return {"seen": self.seen}

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            self.seen = 10 * state_dict["seen"]

    with pytest.raises(Interrupted):
        lstm_lm.train(short(), tmp_path / "run", callbacks=[Late(), interrupt(6)])
    late = Late()
    lstm_lm.train(short("resume=auto"), tmp_path / "run", callbacks=[late])
    assert late.seen >= 10


@pytest.mark.parametrize(
    "forged",
    [
        {"steps": "many"},
        {"steps": True},
        {"mean": [0.0]},
        {"seen": torch.zeros(3)},
        {"seen": [0.0, 0.0]},
        {"names": {}},
        None,
    ],
    ids=str,
)
def test_a_state_that_its_callback_cannot_have_is_refused(forged: Any, short: Config, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        lstm_lm.train(short(), tmp_path / "run", callbacks=[Counter(), interrupt(6)])
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    checkpoint = checkpoint_file.load(last)
    state = checkpoint["callbacks"]["Counter"]
    checkpoint["callbacks"]["Counter"] = {} if forged is None else state | forged
    checkpoint_file.save(checkpoint, last)
    with pytest.raises(UserError, match="Counter") as caught:
        lstm_lm.train(short("resume=auto"), tmp_path / "run", callbacks=[Counter()])
    assert len(str(caught.value).splitlines()) <= 4
    assert lstm_lm.train(short("resume=force"), tmp_path / "run", callbacks=[Counter()]).status == "completed"


@pytest.mark.filterwarnings("ignore:Checkpoint directory")  # holds what the first part has left
def test_a_file_that_a_forged_state_names_is_not_removed(short: Config, tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("years of work")

    def worst_goes() -> ModelCheckpoint:
        return ModelCheckpoint(monitor="val/loss", save_top_k=1, filename="{step}")

    with pytest.raises(Interrupted):
        lstm_lm.train(short(), tmp_path / "run", callbacks=[worst_goes(), interrupt(6)])
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    checkpoint = checkpoint_file.load(last)
    (state,) = checkpoint["callbacks"].values()
    state |= {"kth_best_model_path": str(precious), "best_k_models": {str(precious): torch.tensor(99.0)}}
    state["kth_value"] = torch.tensor(99.0)
    checkpoint_file.save(checkpoint, last)
    lstm_lm.train(short("resume=auto"), tmp_path / "run", callbacks=[worst_goes()])
    assert precious.read_text() == "years of work"


# What is refused


@pytest.mark.parametrize(
    ("brought", "told"),
    [
        ({"loggers": [print]}, "no lightning"),
        ({"callbacks": ["EarlyStopping"]}, "no lightning"),
        ({"callbacks": [LearningRateFinder()]}, "tune=lr"),
        ({"callbacks": [Timer("00:01:00:00")]}, "max_time"),
        ({"callbacks": [Counter(), Counter()]}, "twice"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_work_is_refused_and_nothing_is_written(
    brought: dict[str, Any], told: str, short: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=told):
        lstm_lm.train(short(), "run", **brought)
    assert not Path("run/metrics.csv").exists()


def test_the_runs_own_checkpoints_are_not_written_over(short: Config, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="checkpoints/callbacks"):
        lstm_lm.train(short(), tmp_path / "run", callbacks=[ModelCheckpoint(tmp_path / "run" / "checkpoints")])


def test_processes_that_are_started_have_none_of_the_callers_objects(short: Config, tmp_path: Path) -> None:
    config = short("device=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
    with pytest.raises(UserError, match="2 others would train"):
        lstm_lm.train(config, tmp_path / "run", callbacks=[Counter()])
    assert not (tmp_path / "run").exists()
