"""From a run to its `summary.json`: what is trained, how it went, and what a person may want to change."""

from dataclasses import dataclass

import lightning.pytorch as pl

from lstm_lm.data.corpora.interface import Split
from lstm_lm.evaluation.scores import Scores
from lstm_lm.models.interface import LanguageModel
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel
from lstm_lm.runs.no_writer import NoWriter
from lstm_lm.runs.summary import SplitSummary, Summary
from lstm_lm.training.build import Parts
from lstm_lm.training.compile.watch import CompileFigures, CompileWatch
from lstm_lm.training.control import Control
from lstm_lm.training.observers.clock import StepClock
from lstm_lm.training.observers.metrics import Metrics
from lstm_lm.training.plan import Plan
from lstm_lm.training.runtime import memory_advice
from lstm_lm.training.runtime.memory import peak_memory
from lstm_lm.training.runtime.settings import in_force
from lstm_lm.training.tuning import table

IDLE_GPU_HINT = "the GPU was busy only {:.0f} % of the time: a larger data.batch_size would use it better"
SPIKE_HINT = (
    "the training loss jumped at step {:,}, from {:.2f} to {:.2f}{}; a lower optimizer.lr or gradient_clip_val helps"
)
PART_HINT = "{}: scored {:,} of {:,} tokens, as a limit on batches says; other runs' figures may be of other tokens"
NOT_AVERAGED_HINT = "averaging={} has not begun: everything is of the weights as training left them"


@dataclass(frozen=True)
class Results:
    """Fills in a run's summary as things become known."""

    plan: Plan
    parts: Parts
    writer: NoWriter
    control: Control
    clock: StepClock
    metrics: Metrics
    watch: CompileWatch | None
    """Of torch.compile, where it is used."""
    started_at: float
    """`time.time()` when the user began to wait."""

    def before(self) -> None:
        """Record for TensorBoard and tuning.json what is known before the first step."""
        plan, choice, step = self.plan, self.parts.choice, self.plan.resumed.step if self.plan.resumed else 0
        self.writer.text("runtime/forward", f"{choice.name}: {choice.reason}", step)
        if plan.changed:
            self.writer.text("resume/changed", "\n".join(plan.changed), step)
        if plan.config.tuned is not None:
            self.writer.file(plan.run.tuning, table.as_json(plan.config.tuned))
            table.log(plan.config.tuned, self.writer, step)

    def training(self, trainer: pl.Trainer) -> None:
        """How training went, so far: it may have been interrupted."""
        summary, task, clock = self.writer.summary, self.parts.task, self.clock
        train, runtime = summary.train, summary.runtime
        train.seconds = task.state.seconds
        train.steps, train.epochs = trainer.global_step, trainer.global_step // self.parts.steps_per_epoch
        if task.train_loss is not None:
            train.loss, train.step_ms = float(task.train_loss), clock.step_ms
            train.tokens_per_second = clock.tokens_per_second
        elif self.plan.resumed is not None:  # no step was left to take, and who took the last may have been killed
            train.loss = self.plan.resumed.row.get("train/loss", train.loss)
        compiled = CompileFigures() if self.watch is None else self.watch.figures
        for name, figure in compiled._asdict().items():
            setattr(runtime, name, figure)
        runtime.peak_memory_bytes = peak_memory(self.parts.hardware.device)
        if clock.first_step_at is not None:
            runtime.startup_seconds = clock.first_step_at - self.started_at
        self.validation()

    def validation(self) -> None:
        """The scores of best.ckpt; without one, of the last validation; None before there is either."""
        best = self.control.best or self.parts.task.state.validation
        self.writer.summary.val = None if best is None else split_summary(best.scores)

    def test(self, scores: Scores | None) -> None:
        """The scores of the test split, where there is one."""
        if scores is not None:
            self.writer.summary.test = split_summary(scores)

    def outcome(self) -> None:
        """The run's row in TensorBoard's table of hyperparameters."""
        summary = self.writer.summary
        outcome: dict[str, float | None] = {
            "train/loss": summary.train.loss,
            "train/tokens_per_second": summary.train.tokens_per_second,
        }
        for split, scores in (("val", summary.val), ("test", summary.test)):
            if scores is not None:
                outcome |= {
                    f"{split}/loss": scores.loss,
                    f"{split}/perplexity": scores.perplexity,
                    f"{split}/bits_per_byte": scores.bits_per_byte,
                }
        settings = summary.runtime.settings or {}
        self.writer.outcome({**self.plan.config.hyperparameters(), "runtime": settings}, outcome)

    def hints(self) -> list[str]:
        """What a person may want to change, now that training has ended."""
        task = self.parts.task
        idle = self.metrics.idle_gpu_percent
        hints = [] if idle is None else [IDLE_GPU_HINT.format(idle)]
        if task.nonfinite is not None:
            hints += task.nonfinite.hints()
        if self.metrics.spikes:
            step, before, loss = max(self.metrics.spikes, key=lambda spike: spike[2])
            often = "" if len(self.metrics.spikes) == 1 else f", and {len(self.metrics.spikes) - 1} times more"
            hints.append(SPIKE_HINT.format(step, before, loss, often))
        if task.state.average.is_missing:
            hints.append(NOT_AVERAGED_HINT.format(self.plan.config.top.averaging["name"]))
        return hints

    def partly_scored(self) -> list[str]:
        """What was left out of a split. The first windows have the fewest tokens: all streams but one read context."""
        summary, data = self.writer.summary, self.parts.data
        scored: dict[Split, SplitSummary | None] = {"validation": summary.val, "test": summary.test}
        return [
            PART_HINT.format(split, scores.tokens, data.predicted(split))
            for split, scores in scored.items()
            if scores is not None and scores.tokens != data.predicted(split)
        ]


def describe(summary: Summary, plan: Plan, parts: Parts) -> None:
    """Note what is known before the first step: what is trained, on what, and how."""
    config, manifest, machine = plan.config, parts.data.manifest, parts.hardware
    summary.model.name, summary.model.parameters = str(config.top.model["name"]), parts.model.num_parameters()
    summary.data.name, summary.data.tokens = parts.data.options.name, manifest.splits["train"].tokens
    summary.data.vocabulary_size = parts.data.tokenizer.vocabulary_size
    summary.data.added_tokens = parts.added_tokens
    summary.runtime.device, summary.runtime.precision = str(machine.device), machine.precision
    summary.runtime.forward, summary.runtime.forward_reason = parts.choice.name, parts.choice.reason
    summary.runtime.settings = {**in_force(config.runtime), "token_stream": parts.data.placement.name}
    summary.tuning = table.summary(config.tuned)
    summary.runtime.warnings = [
        *plan.warnings,
        *([config.threads_warning] if config.threads_warning else []),
        *([config.optimizer.warning] if config.optimizer.warning else []),
        *memory_advice.warnings_before(parts),
        *_off_the_kernel(parts.model),
    ]


def _off_the_kernel(model: LanguageModel) -> list[str]:
    """A line where a setting keeps the model off the vendor's kernel; its figure is a measured one."""
    if not isinstance(model, RecurrentLanguageModel) or not model.stack.spec.deviations:
        return []
    return [
        f"not on the vendor's kernel: {', '.join(model.stack.spec.deviations)}; such layers took 2 to 5 times as long "
        "on two CPU cores (docs/benchmarks.md: What a cell costs that no vendor computes)"
    ]


def split_summary(scores: Scores) -> SplitSummary:
    """Scores, as the summary has them."""
    return SplitSummary(
        loss=scores.loss,
        tokens=scores.counts.tokens,
        perplexity=scores.perplexity,
        bits_per_character=scores.bits_per_character,
        bits_per_byte=scores.bits_per_byte,
        bits_per_byte_reason=scores.reason,
        shares=dict(scores.shares) or None,
    )
