"""What one optimizer step minimises: the mean over all its tokens, however they are cut into windows and processes.

With `data.window_lengths=random` the sum is divided by what whole windows would hold (`Batch.divisor`): a token then
counts alike in every step.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lstm_lm.data.streams import Batch
from lstm_lm.training.processes.team import Team


class StepLoss:
    """Makes a sum over tokens of what Lightning takes means of: windows of a step, then processes.

    Lightning's gradient is that of    sum over windows and processes of (mean loss of window) / (A * R),
    with A windows a step (`accumulate_grad_batches`) and R processes. Here each mean loss is first weighted by
    (tokens of window) / n, n being a whole window's; which makes it  (sum over tokens) / (n * A * R),
    and gradients are then multiplied by n * A * R / D, D being the step's tokens, where that is not 1.
    """

    def __init__(self, whole: int, team: Team) -> None:
        """`whole`: n, tokens of a whole window in one process; any number of them will do."""
        self._whole = whole
        self._team = team
        self.begin()

    def begin(self) -> None:
        """Forget the windows of the step before."""
        self._nats: Tensor | None = None
        self._tokens = 0
        self._divisor = 0

    def add(self, batch: Batch, loss: Tensor, nats: Tensor) -> Tensor:
        """Add a window: its mean loss and its summed cross-entropy, scalars. Returns what is to be minimised."""
        tokens, of_all = batch.tokens(), batch.tokens_of_all(self._team.size)
        self._nats = nats if self._nats is None else self._nats + nats
        self._tokens += of_all
        self._divisor += of_all if batch.divisor is None else batch.divisor
        return loss if tokens == self._whole else loss * (tokens / self._whole)

    def mean(self) -> Tensor:
        """The mean of the windows so far over all processes, nats per token. All processes must call it."""
        assert self._nats is not None
        return self._team.mean(self._nats) * (self._team.size / self._tokens)

    def scale_gradients(self, weights: Iterable[nn.Parameter], accumulate: int) -> None:
        """Make the gradients of sums of windows, each divided by `accumulate`, those of the step's mean."""
        factor = self._whole * accumulate * self._team.size / self._divisor
        if factor != 1:
            torch._foreach_mul_([weight.grad for weight in weights if weight.grad is not None], factor)
