"""Every argument of Lightning's Trainer, one by one: it does what Lightning says, or it is refused."""

import csv
import inspect
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from quick_compose import compose
from rich.console import Console

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.runs.summary import Summary
from lstm_lm.training.processes.launch import launches
from lstm_lm.training.trainer_options import FIXED, OWNED, TAKEN, check_trainer

Config = Callable[..., dict[str, Any]]

ARGUMENTS = set(inspect.signature(pl.Trainer).parameters)
AN_EPOCH = 43
"""Windows of the small text."""
CLIPPED = 1e-4
NO_TIME = "trainer.max_time='00:00:00:00'"


@dataclass
class Seen(pl.Callback):
    """What a run did, as a callback of Lightning sees it."""

    device: torch.device | None = None
    dtype: torch.dtype | None = None
    deterministic: bool = False
    benchmark: bool = False
    anomalies: bool = False
    inference: bool = False
    steps: list[int] = field(default_factory=list)
    """By window: optimizer steps taken after it."""
    largest: float = 0.0
    """Of all gradients, as the last step used them."""
    norm: float = 0.0
    sanity: int = 0
    """Windows that were validated before training."""
    validated: list[int] = field(default_factory=list)
    """By window: at which step."""
    tested: int = 0
    summary: Summary | None = None
    run: Path = Path()
    shown: str = ""
    """On a terminal."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        parameter = next(pl_module.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self.deterministic = torch.are_deterministic_algorithms_enabled()
        self.benchmark = torch.backends.cudnn.benchmark

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.anomalies = torch.is_anomaly_enabled()
        self.steps.append(trainer.global_step)
        gradients = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
        if gradients:
            everything = torch.cat([gradient.flatten() for gradient in gradients])
            self.largest, self.norm = float(everything.abs().max()), float(everything.norm())

    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.inference = torch.is_inference_mode_enabled()
        if trainer.sanity_checking:
            self.sanity += 1
        else:
            self.validated.append(trainer.global_step)

    def on_test_batch_end(self, *_: Any) -> None:
        self.tested += 1


Train = Callable[..., Seen]


@pytest.fixture
def train(small_config: Config, small_file: Path, tmp_path: Path) -> Train:
    """Trains with overrides; by default three steps, without a sample."""

    def do(*overrides: str, steps: int | None = 3) -> Seen:
        seen = Seen()

        more = [] if steps is None else [f"trainer.max_steps={steps}"]
        config = small_config("callbacks.samples.length=0", *more, *overrides)
        seen.run = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        console = Console(file=io.StringIO(), force_terminal=True, width=120)
        seen.summary = lstm_lm.train(config, seen.run, console=console, callbacks=[seen])
        seen.shown = console.file.getvalue()  # type: ignore[attr-defined]
        return seen

    return do


def rows(seen: Seen) -> list[int]:
    """The steps that metrics.csv has training losses of."""
    with (seen.run / "metrics.csv").open(newline="") as file:
        return [int(row["step"]) for row in csv.DictReader(file) if row["train/loss"]]


def checkpoints(seen: Seen) -> list[str]:
    return sorted(path.name for path in (seen.run / "checkpoints").glob("*"))


# One function an argument, named after it: it trains, and asserts what the argument is for


def accelerator(train: Train) -> None:
    assert train("trainer.accelerator=cpu").device == torch.device("cpu")
    if torch.cuda.is_available():
        assert train("trainer.accelerator=gpu").device == torch.device("cuda:0")
    else:
        with pytest.raises(UserError, match=r"trainer\.accelerator=gpu"):
            train("trainer.accelerator=gpu")


def devices(train: Train) -> None:
    del train
    assert launches(compose("device=ddp", "trainer.accelerator=cpu", "trainer.devices=2")["trainer"]) == 2
    assert launches(compose("device=cpu")["trainer"]) is None


def strategy(train: Train) -> None:
    with pytest.raises(UserError, match=r"trainer\.strategy=fsdp"):
        train("trainer.strategy=fsdp")


def precision(train: Train) -> None:
    assert train("precision=32-true").dtype == torch.float32
    assert train("precision=64-true").dtype == torch.float64


def fast_dev_run(train: Train) -> None:
    seen = train("trainer.fast_dev_run=2", steps=None)
    assert (seen.steps, seen.validated) == ([1, 2], [2, 2])
    assert checkpoints(seen) == []


def max_epochs(train: Train) -> None:
    assert train("trainer.max_epochs=2", steps=None).steps[-1] == 2 * AN_EPOCH


def min_epochs(train: Train) -> None:
    assert train(NO_TIME, "trainer.max_epochs=2", steps=None).steps == []
    assert train(NO_TIME, "trainer.max_epochs=2", "trainer.min_epochs=1", steps=None).steps[-1] == AN_EPOCH


def max_steps(train: Train) -> None:
    assert train("trainer.max_steps=5").steps == [1, 2, 3, 4, 5]


def min_steps(train: Train) -> None:
    """Which Lightning takes to mean an epoch at least."""
    assert train(NO_TIME, "trainer.max_epochs=2", "trainer.min_steps=50", steps=None).steps[-1] == 50


def max_time(train: Train) -> None:
    seen = train(NO_TIME, steps=None)
    assert seen.summary is not None
    assert (seen.steps, seen.summary.status) == ([], "stopped")


def limit_train_batches(train: Train) -> None:
    assert train("trainer.limit_train_batches=4", steps=None).steps == [1, 2, 3, 4]


def limit_val_batches(train: Train) -> None:
    assert train("trainer.limit_val_batches=2").validated == [3, 3]


def limit_test_batches(train: Train) -> None:
    small = "data.test_fraction=0.2"
    assert train(small, "trainer.limit_test_batches=2").tested == 2
    assert train(small, "trainer.limit_test_batches=0").tested == 0


def overfit_batches(train: Train) -> None:
    assert train("trainer.overfit_batches=2", "trainer.max_epochs=3", steps=None).steps == [1, 2, 3, 4, 5, 6]


def val_check_interval(train: Train) -> None:
    few = "trainer.limit_val_batches=1"
    assert train(few, "trainer.val_check_interval=2", steps=6).validated == [2, 4, 6]
    assert train(few, "trainer.val_check_interval=0.5", steps=None).validated == [21, 42, 43]
    assert train(few, "trainer.val_check_interval='00:00:00:00'", steps=3).validated == [1, 2, 3]


def check_val_every_n_epoch(train: Train) -> None:
    short = "trainer.limit_train_batches=2", "trainer.limit_val_batches=1", "trainer.max_epochs=4"
    assert train(*short, "trainer.check_val_every_n_epoch=2", steps=None).validated == [4, 8]


def num_sanity_val_steps(train: Train) -> None:
    assert train("trainer.num_sanity_val_steps=2").sanity == 2
    assert train().sanity == 0


def log_every_n_steps(train: Train) -> None:
    assert rows(train("trainer.log_every_n_steps=2", steps=6)) == [2, 4, 6]


def enable_checkpointing(train: Train) -> None:
    assert checkpoints(train("trainer.enable_checkpointing=false")) == []
    assert checkpoints(train("trainer.enable_checkpointing=true")) == ["best.ckpt", "last.ckpt"]


def enable_progress_bar(train: Train) -> None:
    up = "\x1b[1A"  # a live line is drawn over
    moving = "callbacks.progress.refresh_seconds=0.05"
    assert up not in train("trainer.enable_progress_bar=false", moving, steps=20).shown
    assert "\x1b[2K" in train("trainer.enable_progress_bar=true", moving, steps=20).shown


def enable_model_summary(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    train("trainer.enable_model_summary=true")
    assert "LSTMLanguageModel" in capsys.readouterr().out
    train("trainer.enable_model_summary=false")
    assert capsys.readouterr().out == ""


def accumulate_grad_batches(train: Train) -> None:
    assert train("trainer.accumulate_grad_batches=3", steps=2).steps == [0, 0, 1, 1, 1, 2]


def gradient_clip_val(train: Train) -> None:
    assert train(f"trainer.gradient_clip_val={CLIPPED}").norm == pytest.approx(CLIPPED, rel=1e-3)
    assert train("trainer.gradient_clip_val=null").norm > 10 * CLIPPED


def gradient_clip_algorithm(train: Train) -> None:
    seen = train(f"trainer.gradient_clip_val={CLIPPED}", "trainer.gradient_clip_algorithm=value")
    assert seen.largest == pytest.approx(CLIPPED)
    assert seen.norm > 2 * CLIPPED


def deterministic(train: Train) -> None:
    assert train("trainer.deterministic=true").deterministic
    assert not train("trainer.deterministic=false").deterministic


def benchmark(train: Train) -> None:
    assert train("trainer.benchmark=true").benchmark
    assert not train("trainer.benchmark=false").benchmark


def inference_mode(train: Train) -> None:
    """Of the validation that ends training; Lightning never uses it within `fit`."""
    assert train("trainer.inference_mode=true").inference
    assert not train("trainer.inference_mode=false").inference


def detect_anomaly(train: Train) -> None:
    assert train("trainer.detect_anomaly=true").anomalies
    assert not train().anomalies


def profiler(train: Train) -> None:
    """More in test_profiling.py."""
    seen = train("trainer.profiler=simple")
    assert "run_training_batch" in (seen.run / "profiler" / "fit-profile.txt").read_text()
    assert not (train().run / "profiler").exists()


EFFECTS: tuple[Callable[..., None], ...] = (
    *(accelerator, devices, strategy, precision, fast_dev_run, max_epochs, min_epochs, max_steps, min_steps, max_time),
    *(limit_train_batches, limit_val_batches, limit_test_batches, overfit_batches, val_check_interval),
    *(check_val_every_n_epoch, num_sanity_val_steps, log_every_n_steps, enable_checkpointing, enable_progress_bar),
    *(enable_model_summary, accumulate_grad_batches, gradient_clip_val, gradient_clip_algorithm, deterministic),
    *(benchmark, inference_mode, detect_anomaly, profiler),
)


def test_of_every_argument_of_lightnings_trainer_it_is_decided_whether_it_is_taken() -> None:
    taken = {effect.__name__ for effect in EFFECTS}
    assert taken | set(FIXED) | set(OWNED) == ARGUMENTS
    assert len(taken) + len(FIXED) + len(OWNED) == len(ARGUMENTS), "it is decided once"
    assert taken | set(FIXED) == TAKEN


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect.__name__)
def test_what_is_taken_has_its_effect(
    effect: Callable[..., None], train: Train, small_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wants = {"train": train, "small_file": small_file, "capsys": capsys}
    effect(**{name: wants[name] for name in inspect.signature(effect).parameters})


@pytest.mark.parametrize("name", sorted(OWNED))
def test_what_the_project_makes_itself_is_refused(name: str) -> None:
    section = compose()["trainer"]
    with pytest.raises(UserError, match=rf"^trainer\.{name}: "):
        check_trainer(section | {name: True})


@pytest.mark.parametrize("name", sorted(FIXED))
def test_of_what_would_have_no_effect_one_value_is_taken(name: str) -> None:
    section = compose()["trainer"]
    assert section[name] == FIXED[name][0]
    for other in (True, 2, "auto", 0.5):
        with pytest.raises(UserError, match=rf"^trainer\.{name}=.*\nleave trainer\.{name}=") as caught:
            check_trainer(section | {name: other})
        assert len(str(caught.value).splitlines()) == 2


def test_an_argument_of_a_later_lightning_is_not_taken_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    from lstm_lm.training import trainer_options

    later = inspect.Parameter("enable_wonders", inspect.Parameter.KEYWORD_ONLY, default=False)
    monkeypatch.setitem(trainer_options._PARAMETERS, later.name, later)
    with pytest.raises(UserError, match=r"^trainer\.enable_wonders: "):
        check_trainer(compose()["trainer"] | {later.name: True})
