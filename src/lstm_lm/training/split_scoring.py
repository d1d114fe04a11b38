"""Scores a split window by window, from a zero state that is carried from each to the next."""

import torch
from torch import nn

from lstm_lm.data.streams import Batch
from lstm_lm.evaluation.scores import Scores, TokenLoss
from lstm_lm.evaluation.token_sizes import TokenSizes
from lstm_lm.models.interface import LanguageModel, State
from lstm_lm.training.objectives.interface import Objective, Ratio


class SplitScoring(nn.Module):
    """A module, so that what it sums lies where the model does; it holds no weights."""

    def __init__(self, objective: Objective, sizes: TokenSizes) -> None:
        super().__init__()
        self._objective = objective
        self._loss = TokenLoss(sizes)
        self._shares: dict[str, Ratio] = {}
        self._state: State = None
        self.under_way = False
        """Whether a validation or test is under way."""

    def begin(self) -> None:
        """Forget all windows so far."""
        self._loss.reset()
        self._shares.clear()
        self._state = None
        self.under_way = True

    def add(self, model: LanguageModel, batch: Batch) -> None:
        """The next window."""
        if batch.fresh or self._state is None:
            self._state = model.initial_state(batch.inputs.shape[1])
        result = self._objective.loss(model, batch, self._state)
        self._state = result.state
        self._loss.update(result.nats, batch.targets)
        for name, ratio in result.shares.items():
            before = self._shares.get(name)
            self._shares[name] = ratio if before is None else Ratio(*map(torch.add, before, ratio))

    def end(self, no_bits: str | None) -> Scores:
        """Of all windows; `no_bits`: why there are no bits per character or byte.

        The loss is the mean of all processes, of which each scores every window: shares need no sum over them.
        """
        self._state = None
        self.under_way = False
        shares = {name: float(hits) / max(1, int(total)) for name, (hits, total) in self._shares.items()}
        return Scores.of(*self._loss.compute(), self._objective.no_bits or no_bits, shares)
