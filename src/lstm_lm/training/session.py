"""One run from its parts to its results: fit, score, tell."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Timer
from rich.console import Console
from rich.text import Text

from lstm_lm.data.corpora.interface import Split
from lstm_lm.evaluation.scores import Scores
from lstm_lm.runs import atomic, rotation
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.summary import SplitSummary, Summary
from lstm_lm.training import closing, describe, together
from lstm_lm.training.callbacks.beginning import Beginning
from lstm_lm.training.callbacks.checkpoints import Checkpoints
from lstm_lm.training.callbacks.clock import StepClock
from lstm_lm.training.callbacks.compile_watch import CompileFigures, CompileWatch
from lstm_lm.training.callbacks.early_stopping import GiveUp
from lstm_lm.training.callbacks.histograms import Histograms
from lstm_lm.training.callbacks.progress import ProgressLine
from lstm_lm.training.callbacks.recorder import Recorder, named
from lstm_lm.training.callbacks.samples import Samples, write_sample
from lstm_lm.training.callbacks.signals import StopOnSignal
from lstm_lm.training.cluster import Others, lead
from lstm_lm.training.compilation import Compilation
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.followers import Followers
from lstm_lm.training.parts import Parts
from lstm_lm.training.resume import Start
from lstm_lm.training.run_logger import RunLogger
from lstm_lm.training.runtime import memory_advice
from lstm_lm.training.runtime.peak_memory import peak_memory
from lstm_lm.training.tuning import table

IDLE_GPU_HINT = "the GPU was busy only {:.0f} % of the time: a larger data.batch_size would use it better"
SPIKE_HINT = (
    "the training loss jumped at step {:,}, from {:.2f} to {:.2f}{}; a lower optimizer.lr or gradient_clip_val helps"
)
PART_HINT = "{}: scored {:,} of {:,} tokens, as a limit on batches says; other runs' figures may be of other tokens"
NOT_AVERAGED_HINT = "averaging={} has not begun: everything is of the weights as training left them"


@dataclass
class Session:
    """The run of `config` in the directory `run`; `summary` is filled in as things become known."""

    config: TrainConfig
    run_directory: RunDirectory
    start: Start
    summary: Summary
    console: Console | None
    started_at: float
    """`time.time()` when the user began to wait."""
    clock: StepClock = field(default_factory=StepClock)
    watch: CompileWatch | None = None
    """Of torch.compile, where it is used."""

    def run(self) -> None:
        """Do all of it.

        Raises:
            UserError, RunError, Interrupted: as `lstm_lm.training.train.train`.
        """
        config, run, clock = self.config, self.run_directory, self.clock
        team = lead(config.trainer)
        checkpoints = together.make_checkpoints(config, run, team, self.start.checkpoint, self.console)
        with (
            Compilation(config.compile) as compilation,
            StopOnSignal(checkpoints, team, compilation, self.console) as signals,
            Followers(team, config.runtime.threads) if team.device is None else Others(team) as followers,
        ):
            parts = together.prepare(config, self.start.checkpoint, team)
            signals.check()
            self._describe(parts)
            logger = RunLogger(
                run, tensorboard=config.logger.tensorboard, resumed_step=self.start.step, warn=self._warn
            )
            beginning = Beginning(partial(self._begin, logger))
            if parts.task.nonfinite is not None:
                parts.task.nonfinite.tell = partial(self._tell_nonfinite, logger)
            try:
                recorder = Recorder(
                    logger,
                    clock,
                    every_n_steps=config.trainer["log_every_n_steps"],
                    steps_per_epoch=parts.steps_per_epoch,
                    total_steps=parts.total_steps,
                    system=config.callbacks.monitor.system,
                )
                if compilation.enabled:
                    self.watch = CompileWatch(compilation, clock, logger, self.console)
                trainer = together.make_trainer(
                    config,
                    parts,
                    run,
                    checkpoints,
                    signals,
                    logger=logger,
                    first=[beginning, clock, *([self.watch] if self.watch else []), recorder],
                    then=self._tellers(parts, logger),
                )
                step = self.start.step or 0
                logger.log_text("runtime/forward", f"{parts.choice.name}: {parts.choice.reason}", step)
                if self.start.changed:
                    logger.log_text("resume/changed", "\n".join(self.start.changed), step)
                if config.tuned is not None:
                    table.log(config.tuned, logger, step)
                followers.join(self._order(), parts.hardware.device)
                signals.check()
                with memory_advice.instead_of_a_traceback(trainer, self.config, parts):
                    self._fit(trainer, parts, logger, checkpoints)
                    beginning.begin()
                    signals.check()
                    hints = self._hints(parts, recorder)
                    sample = self._score(trainer, parts, logger, checkpoints)
                    hints += self._partly_scored(parts)
                if checkpoints is not None:
                    checkpoints.refuse_unsaved()
                self._finish(trainer, logger)
            finally:
                parts.model.close()
                logger.close()
        if self.console is not None:
            source = "the last step" if checkpoints is None or checkpoints.best is None else "the best checkpoint"
            closing.show(self.summary, self.run_directory.path, self.console, sample=sample, source=source, hints=hints)

    # The steps

    def _describe(self, parts: Parts) -> None:
        """Fill in and show what is known before the first step."""
        describe.fill_in(self.summary, self.config, parts, self.start.passed_over)
        self.summary.write(self.run_directory.summary)
        if self.console is not None:
            run = self.run_directory.path
            describe.preflight(self.summary, self.config, parts, run, self.start).show(self.console)

    def _fit(self, trainer: pl.Trainer, parts: Parts, logger: RunLogger, checkpoints: Checkpoints | None) -> None:
        """Train; end with a validation, whatever the limit that ended it."""
        try:
            together.fit(trainer, parts, self.start.checkpoint)
        finally:
            train, clock = self.summary.train, self.clock
            train.seconds = parts.task.trained_seconds
            train.steps, train.epochs = trainer.global_step, trainer.global_step // parts.steps_per_epoch
            loss = parts.task.train_loss
            if loss is not None:
                train.loss, train.step_ms = float(loss), clock.step_ms
                train.tokens_per_second = clock.tokens_per_second
            else:  # no step was left to take; the process that took the last one may not have lived to sum up
                train.loss = logger.resumed_row.get("train/loss", train.loss)
            self.summary.val = self._best_scores(parts, checkpoints)
            self._note_runtime(parts)
        together.validate_the_end(trainer, parts)

    def _score(
        self, trainer: pl.Trainer, parts: Parts, logger: RunLogger, checkpoints: Checkpoints | None
    ) -> str | None:
        """Final figures and a sample, with the weights of the best checkpoint where there is one."""
        step, task = trainer.global_step, parts.task
        together.take_best(parts, self.run_directory, checkpoints)
        self.summary.val = self._best_scores(parts, checkpoints)
        tested = together.test(trainer, parts)
        if tested is not None:
            self.summary.test = _split_summary(tested)
            logger.log_metrics(named(tested, "test"), step)
        options = self.config.callbacks.samples
        if not options.length:
            return None
        task.to(parts.hardware.device)  # Lightning leaves it on the CPU
        with trainer.precision_plugin.forward_context():
            text = write_sample(task, options, parts.data.tokenizer, seed=self.config.top.seed)
        logger.log_text("sample/final", text, step)
        return text

    def _best_scores(self, parts: Parts, checkpoints: Checkpoints | None) -> SplitSummary | None:
        """Of best.ckpt; without one, of the last validation; None before there is either."""
        best = checkpoints.best if checkpoints is not None and checkpoints.best is not None else parts.task.validation
        return None if best is None else _split_summary(best.scores)

    def _hints(self, parts: Parts, recorder: Recorder) -> list[str]:
        """What a person may want to change, now that training has ended."""
        idle = recorder.idle_gpu_percent
        hints = [] if idle is None else [IDLE_GPU_HINT.format(idle)]
        if parts.task.nonfinite is not None:
            hints += parts.task.nonfinite.hints()
        if recorder.spikes:
            step, before, loss = max(recorder.spikes, key=lambda spike: spike[2])
            often = "" if len(recorder.spikes) == 1 else f", and {len(recorder.spikes) - 1} times more"
            hints.append(SPIKE_HINT.format(step, before, loss, often))
        if parts.task.average.is_missing:
            hints.append(NOT_AVERAGED_HINT.format(self.config.top.averaging["name"]))
        return hints

    def _partly_scored(self, parts: Parts) -> list[str]:
        """What was left out of a split. The first windows have the fewest tokens: all streams but one read context."""
        scored: dict[Split, SplitSummary | None] = {"validation": self.summary.val, "test": self.summary.test}
        return [
            PART_HINT.format(split, scores.tokens, parts.data.predicted(split))
            for split, scores in scored.items()
            if scores is not None and scores.tokens != parts.data.predicted(split)
        ]

    def _finish(self, trainer: pl.Trainer, logger: RunLogger) -> None:
        """Say how it ended."""
        self.summary.status = "stopped" if _was_stopped(trainer) else "completed"
        val, test, train = self.summary.val, self.summary.test, self.summary.train
        outcome: dict[str, float | None] = {
            "train/loss": train.loss,
            "train/tokens_per_second": train.tokens_per_second,
        }
        for split, scores in (("val", val), ("test", test)):
            if scores is not None:
                outcome |= {
                    f"{split}/loss": scores.loss,
                    f"{split}/perplexity": scores.perplexity,
                    f"{split}/bits_per_byte": scores.bits_per_byte,
                }
        logger.log_outcome({**self.config.hyperparameters(), "runtime": self.summary.runtime.settings or {}}, outcome)
        logger.save()
        self.summary.write(self.run_directory.summary)

    # Their parts

    def _tellers(self, parts: Parts, logger: RunLogger) -> list[pl.Callback]:
        """The callbacks that show how training goes."""
        options, clock = self.config.callbacks, self.clock
        callbacks: list[pl.Callback] = []
        if options.monitor.histograms_every_n_steps:
            callbacks.append(Histograms(logger, every_n_steps=options.monitor.histograms_every_n_steps))
        if self.console is not None:
            live = self.config.trainer.get("enable_progress_bar") is not False
            refresh = options.progress.refresh_seconds
            callbacks.append(
                ProgressLine(self.console, clock, total_steps=parts.total_steps, refresh_seconds=refresh, live=live)
            )
        seed = self.config.top.seed
        tokenizer, total = parts.data.tokenizer, parts.total_steps
        callbacks.append(Samples(options.samples, tokenizer, logger, clock, self.console, seed=seed, total_steps=total))
        return callbacks

    def _tell_nonfinite(self, logger: RunLogger, line: str, step: int) -> None:
        self._warn(line)
        logger.log_text("nonfinite", line, step)

    def _warn(self, line: str) -> None:
        if self.console is not None:
            self.console.print(Text(f"warning: {line}", style="yellow"))

    def _order(self) -> dict[str, Any]:
        """What the other processes, where there are some, are told."""
        checkpoint = self.start.checkpoint
        return {
            "config": self.config.plain,
            "run_dir": str(self.run_directory.path),
            "checkpoint": None if checkpoint is None else str(checkpoint),
        }

    def _begin(self, logger: RunLogger) -> None:
        """Take the place of what is continued: from here on the run directory is this run's.

        Raises:
            RunError: the file system refuses.
        """
        run, start = self.run_directory, self.start.checkpoint
        atomic.remove_partial(run.checkpoints)
        atomic.remove_partial(run.path, run.summary.name, run.metrics.name)
        if start is not None:
            rotation.take_over(run, start, newer_are_damaged=bool(self.start.passed_over))
        logger.begin()

    def _note_runtime(self, parts: Parts) -> None:
        runtime = self.summary.runtime
        compiled = CompileFigures() if self.watch is None else self.watch.figures
        runtime.compile_graphs, runtime.graph_breaks = compiled.graphs, compiled.breaks
        runtime.compiled_share, runtime.compile_seconds = compiled.share, compiled.seconds
        runtime.recompiles = compiled.recompiles
        runtime.peak_memory_bytes = peak_memory(parts.hardware.device)
        if self.clock.first_step_at is not None:
            runtime.startup_seconds = self.clock.first_step_at - self.started_at


def _split_summary(scores: Scores) -> SplitSummary:
    return SplitSummary(
        loss=scores.loss,
        tokens=scores.counts.tokens,
        perplexity=scores.perplexity,
        bits_per_character=scores.bits_per_character,
        bits_per_byte=scores.bits_per_byte,
        bits_per_byte_reason=scores.reason,
        shares=dict(scores.shares) or None,
    )


def _was_stopped(trainer: pl.Trainer) -> bool:
    """By early stopping or the time limit, before the other limits."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, GiveUp) and callback.has_struck:
            return True
        remaining = callback.time_remaining() if isinstance(callback, Timer) else None
        if remaining is not None and remaining <= 0:
            return True
    return False
