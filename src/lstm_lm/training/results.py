"""From a run to its `summary.json`: what is trained, how it went, and what a person may want to change."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import lightning.pytorch as pl

from lstm_lm.data.corpora.interface import Split
from lstm_lm.data.frequencies import entropy
from lstm_lm.errors import UserError
from lstm_lm.evaluation.scores import Scores
from lstm_lm.models.interface import LanguageModel
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel
from lstm_lm.runs import metrics_file
from lstm_lm.runs.metrics_file import STEP, Row
from lstm_lm.runs.no_writer import NoWriter
from lstm_lm.runs.summary import JudgementSummary, SplitSummary, Summary
from lstm_lm.training.advice import advice
from lstm_lm.training.build import Parts
from lstm_lm.training.compile.watch import CompileFigures, CompileWatch
from lstm_lm.training.control import Control
from lstm_lm.training.judgement import judge
from lstm_lm.training.length import unreached_steps
from lstm_lm.training.observers.clock import StepClock
from lstm_lm.training.observers.metrics import Metrics
from lstm_lm.training.plan import Plan
from lstm_lm.training.runtime import memory_advice
from lstm_lm.training.runtime.memory import peak_memory
from lstm_lm.training.runtime.settings import in_force
from lstm_lm.training.tuning import table

IDLE_GPU_HINT = "the GPU was busy {:.0f} % of the time: a larger data.batch_size would use it better"
SPIKE_HINT = "training loss jumped {} (step {:,}: {:.2f} to {:.2f}); try a lower optimizer.lr"
PART_HINT = "{}: scored {:,} of {:,} tokens, as a limit on batches says"
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
        self.writer.text("settings/forward", f"{choice.name}: {choice.reason}", step)
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
        choices = self.plan.config.hyperparameters()
        choices["data"] = {key: value for key, value in choices["data"].items() if key != "cache_dir"}
        self.writer.outcome({**choices, "runtime": settings}, outcome)

    def judge(self) -> None:
        """What the whole curve says, that of earlier processes too, on rank 0; nothing where metrics.csv is damaged."""
        summary, newest = self.writer.summary, self.writer.open_row
        if self.parts.team.rank > 0:
            return
        try:
            rows = list(metrics_file.rows(self.plan.run.metrics)) if self.plan.run.metrics.exists() else []
        except UserError:
            return
        rows = [*(row for row in rows if row[STEP] != newest.get(STEP)), *([newest] if newest else [])]
        rates = _column(rows, "train/learning_rate")
        found = judge(
            _column(rows, "val/loss"),
            _column(rows, "train/loss"),
            steps=summary.train.steps or 0,
            steps_per_epoch=self.parts.steps_per_epoch,
            rate=rates[-1][1] / max(rate for _, rate in rates) if rates and rates[-1][1] > 0 else 0.0,
        )
        summary.judgement = JudgementSummary(
            **asdict(found),
            frequencies_loss=entropy(self.parts.data.tokens("validation")),
            advice=advice(
                found,
                self.plan.config,
                summary.train.steps or 0,
                self.parts.steps_per_epoch,
                parameters=self.parts.model.num_parameters(),
                tokens=self.parts.data.manifest.splits["train"].tokens,
            ),
        )

    def hints(self) -> list[str]:
        """What a person may want to change, now that training has ended."""
        task = self.parts.task
        idle = self.metrics.idle_gpu_percent
        hints = [] if idle is None else [IDLE_GPU_HINT.format(idle)]
        if task.nonfinite is not None:
            hints += task.nonfinite.hints()
        if self.metrics.spikes:
            step, before, loss = max(self.metrics.spikes, key=lambda spike: spike[2])
            often = "once" if len(self.metrics.spikes) == 1 else f"{len(self.metrics.spikes)} times"
            hints.append(SPIKE_HINT.format(often, step, before, loss))
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


def _column(rows: Sequence[Row], name: str) -> list[tuple[int, float]]:
    return [(int(row[STEP]), row[name]) for row in rows if math.isfinite(row.get(name, math.nan))]


def describe(summary: Summary, plan: Plan, parts: Parts) -> None:
    """Note what is known before the first step: what is trained, on what, and how."""
    config, manifest, machine = plan.config, parts.data.manifest, parts.hardware
    summary.model.name, summary.model.parameters = str(config.top.model["name"]), parts.model.num_parameters()
    options = parts.data.options
    summary.data.name, summary.data.title = options.name, options.title
    summary.data.tokens = manifest.splits["train"].tokens
    summary.data.vocabulary_size = parts.data.tokenizer.vocabulary_size
    summary.data.added_tokens = parts.added_tokens
    summary.runtime.device, summary.runtime.precision = str(machine.device), machine.precision
    summary.runtime.forward, summary.runtime.forward_reason = parts.choice.name, parts.choice.reason
    summary.runtime.settings = {**in_force(config.runtime), "token_stream": parts.data.placement.name}
    summary.tuning = table.summary(config.tuned)
    unreached = unreached_steps(config.trainer, parts.steps_per_epoch)
    summary.runtime.warnings = [
        *plan.warnings,
        *([unreached] if unreached else []),
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
