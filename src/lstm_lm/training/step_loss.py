"""What one optimizer step minimises: the mean over all its tokens, however they are cut into windows and processes."""

from torch import Tensor

from lstm_lm.data.streams import Batch
from lstm_lm.training.distributed import Team


class StepLoss:
    """Makes a sum over tokens of what Lightning takes means of: windows of a step, then processes.

    Its mean is one over tokens only where every window has as many, and a step as many windows. So window k's mean loss
    counts n_k / n, of its n_k tokens and a whole window's n; and where the step's tokens D, of all A windows in all R
    processes, are not the n * A * R that Lightning has divided by, gradients are multiplied by n * A * R / D.
    """

    def __init__(self, whole: int, team: Team) -> None:
        """`whole`: n, tokens of a whole window in one process; any number of them will do."""
        self._whole = whole
        self._team = team
        self.begin()

    def begin(self) -> None:
        """A step begins."""
        self._nats: Tensor | None = None
        self._tokens = 0
        self._divisor = 0

    def add(self, batch: Batch, loss: Tensor, nats: Tensor) -> Tensor:
        """Take in a window: its mean loss and its summed cross-entropy, scalars; gives what is to be minimised."""
        tokens, of_all = batch.tokens(), batch.tokens_of_all(self._team.size)
        self._nats = nats if self._nats is None else self._nats + nats
        self._tokens += of_all
        self._divisor += of_all if batch.divisor is None else batch.divisor
        return loss if tokens == self._whole else loss * (tokens / self._whole)

    def mean(self) -> Tensor:
        """Of the windows so far, over all processes: nats per token. All processes must ask."""
        assert self._nats is not None
        return self._team.mean(self._nats) * (self._team.size / self._tokens)

    def factor(self, accumulate: int) -> float:
        """Of the step's gradients, each window's loss having been divided by `accumulate`."""
        return self._whole * accumulate * self._team.size / self._divisor
