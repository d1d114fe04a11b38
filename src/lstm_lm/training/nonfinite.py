"""What happens when a gradient or a loss is no longer a finite number: `on_nonfinite=stop|skip|rewind`.

One bad update makes every weight NaN, and training continues with nothing. So the norm of the gradient, which is taken
anyway, is looked at in every step: before the update where it could still be left out (`skip`, `rewind`), and on a GPU
with `stop` one step later, when the number has long been there, so that nobody waits for it. That later
look has been tried with numbers on the CPU; it has not run on a GPU.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from torch import Tensor

from lstm_lm.errors import RunError
from lstm_lm.runs import checkpoint_file
from lstm_lm.tokenizers import Tokenizer
from lstm_lm.training.gradients import Gradients
from lstm_lm.training.optimizers import beside_parameters
from lstm_lm.training.weight_average import WeightAverage

Action = Literal["stop", "skip", "rewind"]

MOST_SKIPPED_IN_A_ROW = 10
MOST_REWINDS = 10
MOST_OVERFLOWS_IN_A_ROW = 50
"""Of a gradient scaler: it halves its scale each time, from 2**16."""
TOKENS_SHOWN = 24


@dataclass(frozen=True)
class StepFacts:
    """What a message says of an optimizer step, and what must be finite in it."""

    step: int
    """Counted from 1."""
    learning_rate: float
    gradients: Gradients
    """Their norm must be finite, if not `scaled`."""
    loss: Tensor
    """float[]; must be finite."""
    scaled: bool
    """Whether a gradient scaler tries until gradients overflow, and leaves those steps out itself."""
    epoch: int
    window: int
    """Of the epoch, counted from 1; where windows are accumulated, the last one."""
    inputs: Tensor
    """int64[T, B] of that window."""

    def finite(self) -> Tensor:
        """bool[2]: whether all that must be finite is, and whether the gradient is."""
        loss = self.loss.isfinite()
        gradient = self.gradients.norm.to(loss.device).isfinite()
        return torch.stack((loss if self.scaled else loss & gradient, gradient))


def looking_waits(values: Tensor) -> bool:
    """Whether reading them waits for a device that is still at work."""
    return values.is_cuda


class Arriving:
    """Booleans on their way to the host, which may do something else meanwhile.

    Only CUDA has an event for when they are there: elsewhere a copy that nobody waits for may be read too early.
    """

    def __init__(self, values: Tensor) -> None:
        self._values = torch.empty(values.shape, dtype=values.dtype, pin_memory=values.is_cuda)
        self._values.copy_(values, non_blocking=values.is_cuda)
        self._event: torch.cuda.Event | None = None
        if values.is_cuda:
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record(torch.cuda.current_stream(values.device))

    def read(self) -> list[bool]:
        """The booleans; waits for those that are not there yet."""
        if self._event is not None:
            self._event.synchronize()
        return [bool(value) for value in self._values.tolist()]


class NonFinite:
    """Watches the steps of one run."""

    def __init__(self, action: Action, tokenizer: Tokenizer) -> None:
        self._action = action
        self._tokenizer = tokenizer
        self._in_a_row = 0
        self._overflows = 0
        self._pending: tuple[StepFacts, Arriving] | None = None
        self.checkpoint: Callable[[], Path | None] = lambda: None
        """Gives what is gone back to: the newest that is whole."""
        self.left_out: list[int] = []
        """Steps whose update was left out."""
        self.rewinds: list[int] = []
        """Steps after which the weights were taken back to the last checkpoint's."""
        self._rewind_is_due = False
        self.notify: Callable[[str, int], object] = lambda *_: None
        """Is called at once with a step whose update is not made."""

    def leaves_out(self, facts: StepFacts) -> bool:
        """Whether the update that is about to be made must not be.

        Raises:
            RunError: training must stop, here or since the step before.
        """
        self.check_last_step()
        finite = facts.finite()
        self._pending = facts, Arriving(finite)
        if self._action == "stop" and looking_waits(finite):
            return False
        return self.check_last_step()

    def check_last_step(self) -> bool:
        """Look at the last step now: before its weights are kept or scored. Gives whether its update is left out.

        Raises:
            RunError: training must stop.
        """
        if self._pending is None:
            return False
        facts, arriving = self._pending
        self._pending = None
        finite, gradient_finite = arriving.read()
        self._overflows = self._overflows + 1 if facts.scaled and not gradient_finite else 0
        if self._overflows > MOST_OVERFLOWS_IN_A_ROW:
            raise self._error(facts, f"as in the {MOST_OVERFLOWS_IN_A_ROW} steps before, whatever its scale")
        if finite:
            self._in_a_row = 0
            return False
        self._in_a_row += 1
        if self._action == "stop":
            raise self._error(facts)
        if self._action == "rewind":
            if self.checkpoint() is None:
                raise self._error(facts, "there is no checkpoint yet to rewind to")
            if len(self.rewinds) == MOST_REWINDS:
                raise self._error(facts, f"it has been rewound {MOST_REWINDS} times already")
            self.rewinds.append(facts.step)
            self._rewind_is_due = True
            self.notify(f"{self._what(facts)}: back to the weights of the last checkpoint", facts.step)
        elif self._in_a_row > MOST_SKIPPED_IN_A_ROW:
            raise self._error(facts, f"{MOST_SKIPPED_IN_A_ROW} steps in a row were left out before it")
        else:
            self.left_out.append(facts.step)
            self.notify(f"{self._what(facts)}: its update is left out", facts.step)
        return True

    def rewind_if_due(self, task: pl.LightningModule, optimizer: Any, average: WeightAverage) -> None:
        """Take the weights back, behind the step in which that was decided.

        Raises:
            UserError: the checkpoint is damaged.
        """
        if not self._rewind_is_due:
            return
        checkpoint = self.checkpoint()
        assert checkpoint is not None
        _rewind(task, optimizer, average, checkpoint)
        self._rewind_is_due = False

    def hints(self) -> list[str]:
        """What a person should know when training has ended."""
        hints: list[str] = []
        for steps, what in ((self.left_out, "was left out"), (self.rewinds, "took the weights back to last.ckpt")):
            if steps:
                shown = ", ".join(f"{step:,}" for step in steps[:5]) + (", ..." if len(steps) > 5 else "")
                count = "1 step" if len(steps) == 1 else f"{len(steps)} steps"
                hints.append(f"a loss or gradient that was not finite {what}: {count} ({shown})")
        return hints

    def _what(self, facts: StepFacts, why: str = "") -> str:
        """One line: step, parameter, learning rate and window."""
        text = self._tokenizer.decode([int(token) for token in facts.inputs[:TOKENS_SHOWN, 0]])
        what = "loss" if not bool(facts.loss.isfinite()) else "gradient"
        return (
            f"step {facts.step:,}: the {what} is not a finite number{why} ({facts.gradients.largest()}; "
            f"learning rate {facts.learning_rate:.3g}; window {facts.window:,} of epoch {facts.epoch + 1:,}, "
            f"whose first stream begins {text!r})"
        )

    def _error(self, facts: StepFacts, why: str | None = None) -> RunError:
        return RunError(
            f"{self._what(facts, '' if why is None else f', {why}')}\n"
            "the checkpoints are of before; try a lower optimizer.lr or trainer.gradient_clip_val, or precision=32-true"
            + (
                "\nor go on without such steps: on_nonfinite=skip, or on_nonfinite=rewind"
                if self._action == "stop"
                else ""
            )
        )


def _rewind(task: pl.LightningModule, optimizer: Any, average: WeightAverage, checkpoint: Path) -> None:
    """Weights, optimizer and average as `checkpoint` has them; schedule and place in the text stay where they are."""
    saved = checkpoint_file.load(checkpoint)
    task.load_state_dict(saved["state_dict"])
    scheduled = [{key: group[key] for key in group if key != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(saved["optimizer_states"][0])
    for group, values in zip(optimizer.param_groups, scheduled, strict=True):
        group.update(values)
    beside_parameters(optimizer)
    average.load_state_dict(saved[checkpoint_file.SECTION]["averaging"])
    average.beside_parameters()
