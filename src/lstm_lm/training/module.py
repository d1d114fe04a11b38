"""The LightningModule: truncated back-propagation through time with a carried hidden state."""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from lstm_lm.data.corpora.interface import Split
from lstm_lm.data.manifest import SplitManifest
from lstm_lm.data.streams import Batch
from lstm_lm.evaluation.scores import Scores, unknown_pieces
from lstm_lm.evaluation.token_sizes import TokenSizes
from lstm_lm.models.interface import LanguageModel
from lstm_lm.models.state import detach, to_device
from lstm_lm.training import checkpoint_fit
from lstm_lm.training.gradients import Gradients, scaler_of, unscale
from lstm_lm.training.nonfinite import NonFinite, StepFacts
from lstm_lm.training.objectives.interface import Objective
from lstm_lm.training.optimizers import beside_parameters, build_optimizer
from lstm_lm.training.optimizers.interface import OptimizerOptions
from lstm_lm.training.processes.team import Team
from lstm_lm.training.schedulers import Scheduler, build_scheduler, reset_base_lrs, update_rates
from lstm_lm.training.split_scoring import SplitScoring
from lstm_lm.training.state import RunState, Validation
from lstm_lm.training.step_loss import StepLoss


class LanguageModelTask(pl.LightningModule):
    """Trains a `LanguageModel` on windows of B parallel streams; the state of one window starts the next."""

    def __init__(
        self,
        model: LanguageModel,
        objective: Objective,
        optimizer: OptimizerOptions,
        scheduler: Scheduler,
        *,
        state: RunState,
        nonfinite: NonFinite | None,
        total_steps: int | None,
        precision: str,
        whole_window: int,
        sizes: TokenSizes,
        splits: Mapping[Split, SplitManifest],
        provenance: dict[str, Any],
        team: Team,
    ) -> None:
        """Put the parts together.

        Args:
            model: what is trained.
            objective: how a window becomes a loss.
            optimizer: its configuration.
            scheduler: its configuration.
            state: what the run carries from step to step; its average of the weights is used where nothing is trained.
            nonfinite: what is done where a gradient is not finite; None: of steps that are only timed.
            total_steps: optimizer steps that the schedule spans; None: no limit is known.
            precision: Lightning's name; decides whether a fused optimizer may be used.
            whole_window: T * B, tokens.
            sizes: what each token stands for.
            splits: what "validation" and "test" consist of.
            provenance: plain data that every checkpoint carries under "lstm_lm": config, tokenizer, ...
            team: the processes that train together.
        """
        super().__init__()
        self.model = model
        self.objective = objective
        self.state = state
        self.nonfinite = nonfinite
        self.optimizer_options = optimizer
        self._scheduler_options = scheduler
        self._total_steps = total_steps
        self._precision = precision
        self._splits = splits
        self._provenance = provenance
        self._window: tuple[Batch, int] | None = None
        self._left_out = False
        self.step_loss = StepLoss(whole_window, team)
        self.scoring = SplitScoring(objective, sizes)
        self.learning_rate: float | None = None
        """Of the last optimizer step; the schedule has moved on behind it."""
        self.gradient_norm: Tensor | None = None
        """Of the last optimizer step, before clipping."""
        self.train_loss: Tensor | None = None
        """Of the last optimizer step: the mean over its tokens in all processes, nats per token."""
        self.scores: Scores | None = None
        """Of the last validation or test of this process."""
        self.scores_other_tokens = False
        """Whether the last validation cannot be compared with the one before it."""

    # Training

    def at_step_boundary(self, batch_idx: int) -> bool:
        """Whether an optimizer step ends with window `batch_idx`: between two, gradients are half summed."""
        return (batch_idx + 1) % self.trainer.accumulate_grad_batches == 0 or self.trainer.is_last_batch

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One window of truncated back-propagation through time."""
        self._window = batch, batch_idx
        if batch.fresh or self.state.hidden is None:
            self.state.hidden = self.model.initial_state(batch.inputs.shape[1])
        result = self.objective.loss(self.model, batch, self.state.hidden)
        self.state.hidden = detach(result.state)
        if batch_idx % self.trainer.accumulate_grad_batches == 0:
            self.step_loss.begin()
        loss = self.step_loss.add(batch, result.loss, result.nats)
        if self.at_step_boundary(batch_idx):
            self.train_loss = self.step_loss.mean()
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = build_optimizer(self.model, self.optimizer_options, precision=self._precision)
        scheduler = build_scheduler(optimizer, self._scheduler_options, self._total_steps, lambda: self.state.progress)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """Lightning's step, and the average behind it, unless that step is left out."""
        assert optimizer_closure is not None

        def closure() -> Any:
            loss = optimizer_closure()
            unscale(optimizer.optimizer, scaler_of(self.trainer))
            self.step_loss.scale_gradients(self.model.parameters(), self.trainer.accumulate_grad_batches)
            return loss

        self._left_out = False
        self.learning_rate = float(optimizer.param_groups[0]["lr"])
        super().optimizer_step(epoch, batch_idx, optimizer, closure)
        if self.nonfinite is not None:
            self.nonfinite.rewind_if_due(self, self.trainer.optimizers[0], self.state.average)
        if not self._left_out:
            self.state.average.after_step()

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip, keeping the norm; a gradient that is not finite is none.

        Lightning's own refuses fused optimizers under every mixed precision: their gradients may be scaled still. Here
        they are not (`optimizer_step`).
        """
        gradients = Gradients.of(self.model)
        if gradients is None:
            return
        self.gradient_norm = gradients.norm
        if self._leaves_out(gradients, optimizer):
            gradients.drop()
        elif gradient_clip_val:
            gradients.clip(gradient_clip_val, by_value=gradient_clip_algorithm == "value")

    def _leaves_out(self, gradients: Gradients, optimizer: Any) -> bool:
        if self.nonfinite is None or self._window is None:  # or these are steps that are only timed
            return False
        assert self.train_loss is not None
        facts = StepFacts(
            step=self.global_step + 1,
            learning_rate=float(optimizer.param_groups[0]["lr"]),
            gradients=gradients,
            loss=self.train_loss.detach(),
            scaled=scaler_of(self.trainer) is not None,
            epoch=self.current_epoch,
            window=self._window[1] + 1,
            inputs=self._window[0].inputs,
        )
        if not self.nonfinite.leaves_out(facts):
            return False
        self.state.hidden = None  # it may not be finite either
        self._left_out = True
        return True

    def raise_if_nonfinite(self) -> None:
        """See that the last step's gradient was finite, where that has been put off.

        Raises:
            RunError: it was not.
        """
        if self.nonfinite is not None:
            self.nonfinite.check_last_step()

    # Validation and test

    def on_validation_epoch_start(self) -> None:
        """Start from a zero state, with the average in the weights' place."""
        self.raise_if_nonfinite()
        self.state.average.put()
        self.scoring.begin()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        self.scoring.add(self.model, batch)

    def on_validation_epoch_end(self) -> None:
        """Make `scores` those of this validation, and let early stopping see the loss."""
        scores = self._scores_of("validation")
        if not self.trainer.sanity_checking:  # which sees but a few windows
            self.scores, before = scores, self.state.validation
            self.state.validation = Validation(self.global_step, scores, self._splits["validation"].crc32)
            self.scores_other_tokens = before is not None and not self.state.validation.scored_as(before)
            if self.trainer.state.fn == TrainerFn.FITTING:
                if self.scores_other_tokens:
                    self.state.average.forget_validations()
                    self.state.progress = self.state.progress.of_other_tokens()
                self.state.average.note_validation(scores.loss)
                self._reduce_rate(scores.loss)
        # `compute` has the mean of all processes already; Lightning warns where it is not asked for one
        self.log("val/loss", scores.loss, logger=False, batch_size=1, sync_dist=True)

    def _reduce_rate(self, loss: float) -> None:
        """Have a schedule that goes by validations take note of one; a loss that is no number says nothing."""
        options = self._scheduler_options
        if options.needs_validation and math.isfinite(loss):
            self.state.progress = options.after_validation(self.state.progress, loss)
            for schedule in self._schedules():
                update_rates(schedule)

    def on_test_epoch_start(self) -> None:
        self.on_validation_epoch_start()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self.validation_step(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        self.scores = self._scores_of("test")

    def _scores_of(self, split: Split) -> Scores:
        self.state.average.take_back()
        return self.scoring.end(unknown_pieces(self._splits[split].replaced))

    # Checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.raise_if_nonfinite()
        self.state.validation_due = self._validation_follows()
        checkpoint["lstm_lm"] = {
            **self._provenance,
            **self.state.state_dict(self.device),
            "within_a_step": self._within_a_step,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning asks for this first: nothing is put back of a checkpoint that does not fit.

        Raises:
            UserError: it does not.
        """
        checkpoint_fit.check(checkpoint, self, self.model, self.state.average, Path(str(self.trainer.ckpt_path)))
        self.state.load_state_dict(checkpoint["lstm_lm"], self.device)

    @property
    def validated_at(self) -> int | None:
        """The optimizer step of the last validation."""
        return None if self.state.validation is None else self.state.validation.step

    @property
    def validation_is_due(self) -> bool:
        """Whether one was to follow when the checkpoint that is resumed was written, and has not yet."""
        return self.state.validation_due and self.validated_at != self.global_step

    @property
    def _within_a_step(self) -> bool:
        """Whether gradients are half summed, as where a validation falls between the windows of one step."""
        if self.trainer.state.fn != TrainerFn.FITTING or self._window is None:
            return False
        return not self.at_step_boundary(self._window[1])

    def _validation_follows(self) -> bool:
        """Whether Lightning validates before its next step; as it decides itself."""
        trainer, loop = self.trainer, self.trainer.fit_loop
        if trainer.state.fn != TrainerFn.FITTING or self.validated_at == self.global_step or loop._data_fetcher is None:
            return False
        return bool(loop.epoch_loop._should_check_val_fx(loop._data_fetcher))

    def on_train_start(self) -> None:
        """Time counts from here; and the device is known for certain only now."""
        self.state.start_clock()
        for optimizer in self.trainer.optimizers:
            beside_parameters(optimizer)
        for schedule in self._schedules():
            reset_base_lrs(schedule)
        self.state.average.beside_parameters()
        self.state.hidden = to_device(self.state.hidden, self.device)

    def _schedules(self) -> Iterator[LambdaLR]:
        """The one there is, over optimizer steps."""
        for config in self.trainer.lr_scheduler_configs:
            assert isinstance(config.scheduler, LambdaLR)
            yield config.scheduler
