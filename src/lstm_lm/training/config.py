"""The configuration of a training run, checked as a whole before any data is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from lstm_lm.data.module import TextDataModule
from lstm_lm.data.units import unit_of
from lstm_lm.errors import UserError
from lstm_lm.models.build import model_class, model_options
from lstm_lm.options import Options
from lstm_lm.training.averaging import build_averaging
from lstm_lm.training.loggers import LoggerOptions, logger_options
from lstm_lm.training.nonfinite import Action
from lstm_lm.training.objectives import build_objective
from lstm_lm.training.optimizers import optimizer_options
from lstm_lm.training.optimizers.interface import OptimizerOptions
from lstm_lm.training.runtime.settings import RuntimeOptions
from lstm_lm.training.schedulers import Scheduler, scheduler_options
from lstm_lm.training.trainer_options import check_trainer
from lstm_lm.training.tuning.budget_options import BudgetOptions, with_matching_sizes
from lstm_lm.training.tuning.options import TuneOptions, tune_options

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]

VARIOUS_LENGTHS = (("window_lengths", "random", "fixed"), ("unit", "line", "window"), ("unit", "document", "window"))
"""Keys of `data` with the value that makes windows of many lengths, and the one that doesn't."""


class CompileOptions(Options):
    """`compile`: whether and how torch.compile is used."""

    enabled: bool
    mode: Literal["default", "reduce-overhead", "max-autotune"]
    max_seconds: Annotated[float, Field(gt=0)] | None
    recompile_limit: Annotated[int, Field(ge=1, le=1024)]


Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class CheckpointOptions(Options):
    """When last.ckpt is written, and how many of it are kept."""

    every_n_steps: Annotated[int, Field(ge=1)]
    every_n_minutes: Positive
    keep: Annotated[int, Field(ge=1)]


class SampleOptions(Options):
    """Text written while training."""

    every_n_steps: Count
    prompt: str
    length: Count
    temperature: Positive


class EarlyStoppingOptions(Options):
    """When training stops although its limits allow more."""

    patience: Annotated[int, Field(ge=1)] | None
    min_delta: Annotated[float, Field(ge=0)]


class MonitorOptions(Options):
    """What is recorded besides losses."""

    system: bool
    histograms_every_n_steps: Count


class ProgressOptions(Options):
    """The live bar."""

    refresh_seconds: Positive


class CallbackOptions(Options):
    """The `callbacks` section."""

    checkpoint: CheckpointOptions
    samples: SampleOptions
    early_stopping: EarlyStoppingOptions
    monitor: MonitorOptions
    progress: ProgressOptions


class TopLevel(Options):
    """The keys outside every group, and that the groups are there."""

    seed: Seed
    resume: Literal["never", "auto", "force"]
    ckpt_path: str | None
    init_from: str | None
    deterministic: bool | Literal["warn"] | None
    on_nonfinite: Action
    budget: Any
    data: dict[str, Any]
    tokenizer: dict[str, Any]
    model: dict[str, Any]
    forward: dict[str, Any]
    precision: dict[str, Any]
    compile: dict[str, Any]
    device: dict[str, Any]
    objective: dict[str, Any]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    averaging: dict[str, Any]
    trainer: dict[str, Any]
    callbacks: dict[str, Any]
    logger: dict[str, Any]
    runtime: dict[str, Any]
    tune: dict[str, Any]


@dataclass(frozen=True)
class TrainConfig:
    """A checked configuration: the plain mapping, and those sections that are typed here."""

    plain: dict[str, Any]
    top: TopLevel
    compile: CompileOptions
    optimizer: OptimizerOptions
    scheduler: Scheduler
    trainer: dict[str, Any]
    callbacks: CallbackOptions
    logger: LoggerOptions
    runtime: RuntimeOptions
    tune: TuneOptions
    tuned: dict[str, Any] | None = None
    """What tuning has found and chosen, as plain data for checkpoints; its choice is in the other fields."""
    threads_warning: str | None = None
    """Why `runtime.threads` are fewer than there are cores, where that is others' doing."""

    @classmethod
    def parse(cls, config: Mapping[str, Any], tuned: dict[str, Any] | None = None) -> Self:
        """Check a whole configuration (plain dicts and lists, interpolations resolved).

        Raises:
            UserError: the first section that is wrong: key, value, allowed range.
        """
        plain = dict(config)
        top = TopLevel.parse(plain, "")
        tune = tune_options(top.tune, plain)
        if isinstance(tune, BudgetOptions):
            plain = with_matching_sizes(plain)
            top = TopLevel.parse(plain, "")
        TextDataModule(top.data, top.tokenizer, top.seed)  # checks its options; reads nothing yet
        model_options(top.model)
        build_objective(top.objective, top.model)
        build_averaging(top.averaging, top.trainer)
        model_class(str(top.model["name"])).check_forward(top.forward)
        for key, value in (("resume", top.resume), ("ckpt_path", top.ckpt_path)):
            if value not in ("never", None) and top.init_from is not None:
                raise UserError(
                    f"{key}={value} and init_from={top.init_from} exclude each other\n"
                    f"{key}= continues a run as it was; init_from= starts a new one from another's weights"
                )
        compiling = CompileOptions.parse(top.compile, "compile")
        data = {**top.data, "unit": unit_of(top.data)}
        for key, value, instead in VARIOUS_LENGTHS:
            if compiling.enabled and compiling.mode != "default" and data.get(key) == value:
                raise UserError(
                    f"compile={compiling.mode}: with data.{key}={value} each length is a CUDA graph of its own\n"
                    f"use compile=default, whose graphs serve all lengths, or data.{key}={instead}"
                )
        runtime = RuntimeOptions.parse(top.runtime, "runtime")
        trainer = check_trainer(top.trainer)
        benchmark = _cudnn_benchmark(trainer, runtime)
        return cls(
            plain=plain,
            top=top,
            compile=compiling,
            optimizer=optimizer_options(top.optimizer),
            scheduler=scheduler_options(top.scheduler, trainer),
            trainer={**trainer, "benchmark": benchmark},
            callbacks=CallbackOptions.parse(top.callbacks, "callbacks"),
            logger=logger_options(top.logger),
            runtime=runtime.model_copy(update={"cudnn_benchmark": benchmark}),
            tune=tune,
            tuned=tuned,
        )

    @property
    def checkpoints(self) -> CheckpointOptions | None:
        """When last.ckpt is written; None: never."""
        off = not self.trainer.get("enable_checkpointing", True) or self.trainer.get("fast_dev_run")
        return None if off else self.callbacks.checkpoint

    def hyperparameters(self) -> dict[str, Any]:
        """What TensorBoard's HPARAMS tab lists: the choices that runs are compared by."""
        top = self.top
        chosen = {key: self.trainer[key] for key in ("max_epochs", "max_steps", "gradient_clip_val", "precision")}
        return {
            "seed": top.seed,
            "data": top.data,
            "tokenizer": top.tokenizer,
            "model": top.model,
            "forward": top.forward["name"],
            "compile": top.compile["mode"] if self.compile.enabled else "none",
            "objective": top.objective,
            "optimizer": top.optimizer,
            "scheduler": top.scheduler,
            "averaging": top.averaging,
            "trainer": {**chosen, "accumulate_grad_batches": self.trainer["accumulate_grad_batches"]},
        }


def _cudnn_benchmark(trainer: Mapping[str, Any], runtime: RuntimeOptions) -> bool | None:
    """What the two keys for one switch say together.

    Raises:
        UserError: they contradict each other, or what `trainer.deterministic` asks for.
    """
    ours, lightnings = runtime.cudnn_benchmark, trainer.get("benchmark")
    if ours is not None and lightnings is not None and ours != lightnings:
        raise UserError(
            f"runtime.cudnn_benchmark={str(ours).lower()} and trainer.benchmark={str(lightnings).lower()}: "
            "they are one switch\nset runtime.cudnn_benchmark alone"
        )
    benchmark = lightnings if ours is None else ours
    if benchmark and trainer.get("deterministic"):
        raise UserError(
            "runtime.cudnn_benchmark=true and trainer.deterministic exclude each other: what is fastest may differ\n"
            "from run to run; leave runtime.cudnn_benchmark=null"
        )
    return benchmark
