"""Text written while training: the quickest way to see what a model has learnt."""

from collections.abc import Callable
from functools import partial
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn

from lstm_lm.errors import RunError
from lstm_lm.generation.reconstruction import reconstruct
from lstm_lm.generation.text import Settings, sample_text
from lstm_lm.generation.units import units_in_a_row
from lstm_lm.models.backbones.autoencoder import Autoencoder
from lstm_lm.runs.no_writer import NoWriter
from lstm_lm.tokenizers import Tokenizer
from lstm_lm.training.build import Parts
from lstm_lm.training.config import SampleOptions
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.observers.clock import StepClock
from lstm_lm.training.observers.excerpt import LINES, Excerpt
from lstm_lm.training.plan import Plan

MOST_SHOWN = 4
"""Samples that a run shows while it trains, spread evenly, however often it validates; TensorBoard has them all."""
STEPS_EACH = 250
"""A shorter run shows fewer."""
AT_THE_END = 8
"""Lines of the last one."""


class Samples(pl.Callback):
    """A sample with each validation, or every `every_n_steps` optimizer steps, to `show` and in TensorBoard."""

    def __init__(
        self,
        plan: Plan,
        parts: Parts,
        writer: NoWriter,
        clock: StepClock,
        show: Callable[[Excerpt], object] | None,
    ) -> None:
        self._options, self._seed = plan.config.callbacks.samples, plan.config.top.seed
        self._tokenizer, self._total_steps = parts.data.tokenizer, parts.total_steps
        self._separator = parts.data.options.unit_end()
        self._form = partial(
            Excerpt,
            begins=begins_a_word(self._tokenizer, self._options.prompt),
            units=parts.data.options.unit == "line",
        )
        self._writer = writer
        self._clock = clock
        self._show = show
        self._sampled_step = -1
        self._shown_step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._sampled_step = self._shown_step = trainer.global_step  # nothing new to show before the first step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        every = self._options.every_n_steps
        if every and trainer.global_step % every == 0:
            self._sample(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """With each validation, where no other rhythm is asked for; the last one is followed by the final sample."""
        training = trainer.state.fn == TrainerFn.FITTING and trainer.global_step != self._total_steps
        if training and not self._options.every_n_steps:
            self._sample(trainer, pl_module)

    def _sample(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        step = trainer.global_step
        if not self._options.length or step == self._sampled_step:
            return
        assert isinstance(pl_module, LanguageModelTask)
        self._sampled_step = step
        self._clock.pause()
        with trainer.precision_plugin.forward_context(), pl_module.state.average.in_place():
            seed = self._seed + step
            text = write_sample(pl_module, self._options, self._tokenizer, seed=seed, separator=self._separator)
        self._writer.text("sample", text, step)
        if self._show is None:
            return
        if self._options.every_n_steps:
            self._show(self._form(text, f"step {step:>7,}"))
        elif is_shown(self._shown_step, step, self._total_steps):
            self._shown_step = step
            self._show(self._form(text, "sample"))


def is_shown(before: int, step: int, total: int | None) -> bool:
    """Whether a sample of `step` is shown, where the last one was of step `before`, in a run of `total` steps.

    MOST_SHOWN of them cut the run into even parts, fewer a short one; the final sample follows. Without an end all are.
    """
    if total is None:
        return True
    parts = min(MOST_SHOWN, total // STEPS_EACH) + 1
    return before * parts // total < step * parts // total


def begins_a_word(tokenizer: Tokenizer, prompt: str) -> bool:
    """Whether what continues `prompt` begins a word: not where neither it nor a line's end is known by its tokens."""
    known = any(len(tokenizer.encode(text, unknown="skip").ids) for text in (prompt, "\n"))
    return known or tokenizer.name in ("word", "whitespace")


def write_sample(
    task: LanguageModelTask, options: SampleOptions, tokenizer: Tokenizer, *, seed: int, separator: str | None = None
) -> str:
    """Text from the model as it is now; what the tokenizer does not know in the prompt is left out.

    Where it is trained on units that end with `separator`, one after the other, each from a fresh state. An autoencoder
    gives the prompt back. A model that has diverged cannot write: then the text says so.
    """
    if isinstance(task.model, Autoencoder):
        return f"{options.prompt}\n-> {reconstruct(task.model, tokenizer, options.prompt, unknown='skip')}"
    settings = Settings(temperature=options.temperature, seed=seed, unknown="skip")
    try:
        if separator is not None:
            return units_in_a_row(task.model, tokenizer, separator, options.prompt, options.length, **settings)
        return sample_text(task.model, tokenizer, options.prompt, max_new_tokens=options.length, **settings)
    except RunError as error:
        return f"(no sample: {error})"


def final_sample(trainer: pl.Trainer, plan: Plan, parts: Parts, writer: NoWriter) -> Excerpt | None:
    """What rank 0 writes at the end, with the weights that are left; None where none is asked for."""
    options = plan.config.callbacks.samples
    if not options.length or parts.team.rank > 0:
        return None
    parts.task.to(parts.hardware.device)  # Lightning leaves it on the CPU
    with trainer.precision_plugin.forward_context():
        separator, seed = parts.data.options.unit_end(), plan.config.top.seed
        text = write_sample(parts.task, options, parts.data.tokenizer, seed=seed, separator=separator)
    writer.text("sample/final", text, trainer.global_step)
    begins = begins_a_word(parts.data.tokenizer, options.prompt)
    units = parts.data.options.unit == "line"
    return Excerpt(text, lines=LINES if units else AT_THE_END, begins=begins, units=units)
