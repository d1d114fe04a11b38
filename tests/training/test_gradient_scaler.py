"""`precision=16-mixed` has a gradient scaler: here torch's own on a CPU, in float32 so that steps can be compared.

None of this has run on a GPU, where the host must not wait for the device: what it would wait for is counted here.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lstm_lm.errors import RunError
from lstm_lm.models.state import detach
from lstm_lm.training import nonfinite
from lstm_lm.training.build import Parts, build
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.plan import Plan

Config = Callable[..., dict[str, Any]]
STEPS = 6
OVERFLOWING = (1, 4)
"""Counted from 1."""
SCALE = 2.0**10
CLIP = 0.05
FEWEST = ("scheduler=constant", "optimizer.weight_decay=0", "averaging=ema", "trainer.gradient_clip_val=0.05")


SCHEDULED_UNSTEPPED = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning")
"""Where a first step overflows and the optimizer is not fused: the scaler does not call it, and PyTorch wonders."""


class Float32WithScaler(MixedPrecision):
    """What Lightning does with 16-mixed, but for the arithmetic."""

    def __init__(self) -> None:
        super().__init__("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=SCALE))

    def forward_context(self) -> AbstractContextManager[None]:
        return nullcontext()


class Overflow(pl.Callback):
    """Makes one number of the gradient infinite in some steps, and keeps what other callbacks see of it."""

    def __init__(self, *steps: int) -> None:
        self._steps = steps
        self.seen: list[Tensor] = []
        self.norms: list[Tensor] = []

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step + 1 in self._steps:
            overflow(pl_module.model)

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        self.seen.append(norm_of(pl_module.model))

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *args: Any) -> None:
        self.norms.append(pl_module.gradient_norm)


def overflow(model: Any) -> None:
    next(model.parameters()).grad[0, 0] = float("inf")


def norm_of(model: Any) -> Tensor:
    return torch.nn.utils.get_total_norm([weight.grad for weight in model.parameters()])


def trainer_of(parts: Parts, *callbacks: pl.Callback, accumulate: int = 1, steps: int = STEPS) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        plugins=[Float32WithScaler()],
        max_steps=steps,
        gradient_clip_val=CLIP,
        accumulate_grad_batches=accumulate,
        limit_val_batches=0,
        callbacks=list(callbacks),
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )


def scaler_of(trainer: pl.Trainer) -> torch.amp.GradScaler:
    scaler: torch.amp.GradScaler = trainer.precision_plugin.scaler  # type: ignore[attr-defined]
    return scaler


def fit(trainer: pl.Trainer, parts: Parts) -> None:
    parts.task._precision = "16-mixed"  # which `precision=` refuses on a CPU
    trainer.fit(parts.task, datamodule=parts.data)
    parts.task.raise_if_nonfinite()


def by_hand(parts: Parts, optimizer: torch.optim.Optimizer, accumulate: int) -> tuple[float, list[Tensor]]:
    """The loop of PyTorch's manual, with an optimizer that is not fused; gives the scale at its end, and the norms."""
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)
    windows, state, norms = iter(parts.data.train_dataloader()), None, list[Tensor]()
    for step in range(1, STEPS + 1):
        optimizer.zero_grad()
        for _ in range(accumulate):
            batch = next(windows)
            state = parts.model.initial_state(batch.inputs.shape[1]) if batch.fresh else state
            result = parts.task.objective.loss(parts.model, batch, state)
            state = detach(result.state)
            scaler.scale(result.loss / accumulate).backward()
            if step in OVERFLOWING:
                overflow(parts.model)
        scaler.unscale_(optimizer)
        norms.append(torch.nn.utils.clip_grad_norm_(parts.model.parameters(), CLIP))
        scaler.step(optimizer)
        scaler.update()
    return scaler.get_scale(), norms


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd", pytest.param("rmsprop", marks=SCHEDULED_UNSTEPPED), "muon"])
def test_steps_are_those_of_pytorchs_manual(small_config: Config, optimizer: str, accumulate: int) -> None:
    """Fused or not, clipped, with two steps that overflow: weights, norms and the scale."""
    config = TrainConfig.parse(small_config(*FEWEST, f"optimizer={optimizer}", "optimizer.lr=0.01"))
    reference, parts = build(Plan.new(config)), build(Plan.new(config))
    unfused = config.optimizer.make(config.optimizer.groups(reference.model), fused=False, products=torch.float32)
    scale, norms = by_hand(reference, unfused, accumulate)

    watching = Overflow(*OVERFLOWING)
    trainer = trainer_of(parts, watching, accumulate=accumulate)
    fit(trainer, parts)
    assert trainer.optimizers[0].defaults.get("fused", False) is (optimizer != "rmsprop")
    assert scaler_of(trainer).get_scale() == scale == SCALE / 4
    torch.testing.assert_close(watching.norms[accumulate - 1 :: accumulate], norms, rtol=1e-5, atol=0)
    torch.testing.assert_close(watching.seen, norms, rtol=1e-5, atol=0)
    for weight, expected in zip(parts.model.parameters(), reference.model.parameters(), strict=True):
        torch.testing.assert_close(weight, expected, rtol=0, atol=1e-6)


def test_a_step_that_overflows_changes_nothing(small_config: Config) -> None:
    """Neither weights nor the optimizer's averages and count of steps; the average of weights takes them in again."""
    parts = build(Plan.new(TrainConfig.parse(small_config(*FEWEST))))
    kept: list[list[Tensor]] = []

    class Keep(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
            of_optimizer = [value for state in trainer.optimizers[0].state.values() for value in state.values()]
            kept.append([value.detach().clone() for value in [*parts.model.parameters(), *of_optimizer]])

    trainer = trainer_of(parts, Overflow(4), Keep())
    fit(trainer, parts)
    same = [all(map(torch.equal, before, after)) for before, after in pairwise(kept)]
    assert same == [False, False, True, False, False]
    assert parts.task.state.average.count == STEPS


# Waiting


class Waits(TorchDispatchMode):
    """Counts what the host would wait for on a GPU: each time that it wants a number's value, or decides by one."""

    WAITING = ("_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "item")

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in self.WAITING:
            self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """As if the numbers were on a GPU. Hears when some are asked for, and when they are looked at."""
    heard: list[str] = []

    class Heard(nonfinite.Arriving):
        def __init__(self, values: Tensor) -> None:
            super().__init__(values)
            heard.append("asked")

        def read(self) -> list[bool]:
            heard.append("looked")
            return super().read()

    monkeypatch.setattr(nonfinite, "Arriving", Heard)
    monkeypatch.setattr(nonfinite, "looking_waits", lambda _: True)
    return heard


@pytest.mark.parametrize("clip", ["norm", "value"])
@pytest.mark.parametrize(
    ("optimizer", "waits"),
    [("adamw", 0), ("sgd", 0), pytest.param("rmsprop", 1, marks=SCHEDULED_UNSTEPPED)],
)
def test_no_step_waits_for_the_device(
    small_config: Config,
    events: list[str],
    monkeypatch: pytest.MonkeyPatch,
    optimizer: str,
    waits: int,
    clip: str,
) -> None:
    """From the end of its backward pass on. Without a fused kernel torch's scaler itself waits, once."""
    overrides = ("scheduler=constant", f"optimizer={optimizer}", "averaging=ema")
    parts = build(Plan.new(TrainConfig.parse(small_config(*overrides))))
    trainer = trainer_of(parts, Overflow(*OVERFLOWING))
    trainer.gradient_clip_algorithm = clip
    watch, step = Waits(), type(parts.task).optimizer_step

    def watched(self: Any, epoch: int, batch_idx: int, optimizer: Any, closure: Any) -> None:
        def unwatched() -> Any:  # the model's own passes are not what is looked at
            with torch.utils._python_dispatch._disable_current_modes():
                return closure()

        with watch:
            step(self, epoch, batch_idx, optimizer, unwatched)
        events.append("stepped")

    monkeypatch.setattr(type(parts.task), "optimizer_step", watched)
    fit(trainer, parts)
    assert watch.names == ["_local_scalar_dense"] * waits * STEPS
    assert events == [*["asked", "stepped", "looked"] * STEPS], "in the step after, the last one's at the end"


def test_overflows_without_end_stop_a_run_a_step_late(
    small_config: Config, events: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nonfinite, "MOST_OVERFLOWS_IN_A_ROW", 2)
    parts = build(Plan.new(TrainConfig.parse(small_config("scheduler=constant"))))
    trainer = trainer_of(parts, Overflow(1, 3, 4, 5, 6))
    with pytest.raises(RunError, match="step 5: the gradient is not a finite number, as in the 2 steps before"):
        fit(trainer, parts)
    assert trainer.global_step == 5, "step 6 was about to be made"
