"""Text written while training: the quickest way to see what a model has learnt."""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn
from rich.panel import Panel
from rich.text import Text

from lstm_lm.errors import RunError
from lstm_lm.generation.reconstruction import reconstruct
from lstm_lm.generation.text import Settings, sample_text
from lstm_lm.generation.units import units_in_a_row
from lstm_lm.models.backbones.autoencoder import Autoencoder
from lstm_lm.printable import printable_text
from lstm_lm.runs.no_writer import NoWriter
from lstm_lm.tokenizers import Tokenizer
from lstm_lm.training.build import Parts
from lstm_lm.training.config import SampleOptions
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.observers.clock import StepClock
from lstm_lm.training.plan import Plan


class Samples(pl.Callback):
    """A sample with each validation, or every `every_n_steps` optimizer steps, to `show` and in TensorBoard."""

    def __init__(
        self,
        plan: Plan,
        parts: Parts,
        writer: NoWriter,
        clock: StepClock,
        show: Callable[[Panel], object] | None,
    ) -> None:
        self._options, self._seed = plan.config.callbacks.samples, plan.config.top.seed
        self._tokenizer, self._total_steps = parts.data.tokenizer, parts.total_steps
        self._separator = parts.data.options.unit_end()
        self._writer = writer
        self._clock = clock
        self._show = show
        self._sampled_step = -1

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._sampled_step = trainer.global_step  # nothing new to show before the first step

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
        if self._show is not None:
            self._show(sample_panel(text, f"sample at step {step:,}"))


def write_sample(
    task: LanguageModelTask, options: SampleOptions, tokenizer: Tokenizer, *, seed: int, separator: str | None = None
) -> str:
    """Text from the model as it is now; what the tokenizer does not know in the prompt is left out.

    Where it is trained on units that end with `separator`, one after the other, each from a fresh state. An autoencoder
    gives the prompt back. A model that has diverged cannot write: then the text says so. What becomes
    of the run is not decided here.
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


def final_sample(trainer: pl.Trainer, plan: Plan, parts: Parts, writer: NoWriter) -> str | None:
    """What rank 0 writes at the end, with the weights that are left; None where none is asked for."""
    options = plan.config.callbacks.samples
    if not options.length or parts.team.rank > 0:
        return None
    parts.task.to(parts.hardware.device)  # Lightning leaves it on the CPU
    with trainer.precision_plugin.forward_context():
        separator, seed = parts.data.options.unit_end(), plan.config.top.seed
        text = write_sample(parts.task, options, parts.data.tokenizer, seed=seed, separator=separator)
    writer.text("sample/final", text, trainer.global_step)
    return text


def sample_panel(text: str, title: str) -> Panel:
    """A sample as a person sees it."""
    return Panel(Text(printable_text(text).strip("\n")), title=title, title_align="left", border_style="dim")
