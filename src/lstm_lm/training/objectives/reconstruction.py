"""Reconstruction: the cross-entropy of each token of a text, given its vector and the tokens before it.

A text is a column of `batch.targets`, those left out that are IGNORE: a window of a stream, or a line.
"""

from typing import ClassVar

import torch
from torch import Tensor

from lstm_lm.data.streams import IGNORE, Batch
from lstm_lm.models.backbones.autoencoder import Autoencoder
from lstm_lm.models.interface import LanguageModel, State
from lstm_lm.training.objectives.interface import Loss, Ratio
from lstm_lm.training.objectives.language_modelling import CrossEntropyObjective


class Reconstruction(CrossEntropyObjective):
    """The mean cross-entropy over a batch's tokens, and out of training three shares of what comes back.

    `exact_match`: of texts that greedy decoding gives back whole, which knows the vector and the text's length alone;
    `exact_match_tokens`: of tokens that it gives back in their place; `forced_match_tokens`: of tokens that are the
    most likely ones after the true ones before them (teacher forcing; a text all of whose tokens are comes back whole,
    so there is but one share of texts). Texts of no tokens do not count.
    """

    no_bits: ClassVar[str | None] = "the vector tells of the text, so the loss is no code length"

    def loss(self, model: LanguageModel, batch: Batch, state: State) -> Loss:
        # no text begins from what came before it, so the state stays as it is
        assert isinstance(model, Autoencoder)
        targets, lengths = to_the_front(batch.targets)
        tokens = targets.masked_fill(targets == IGNORE, model.nothing)
        vector = model.encode(tokens, lengths)
        logits, _ = model(model.shifted(tokens), model.decoding(vector))
        nats = self._summed(logits, targets, 0.0).nats
        shares = {} if model.training else _shares(model, vector, logits, targets, lengths)
        return Loss(nats / lengths.sum().clamp(min=1), state, nats.detach(), shares)


def to_the_front(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Each column of `targets[T, B]` without its IGNOREs, which follow behind; and the lengths `[B]` that are left."""
    there = targets != IGNORE
    order = there.logical_not().to(torch.int8).argsort(dim=0, stable=True)
    return targets.gather(0, order), there.sum(dim=0)


def _shares(model: Autoencoder, vector: Tensor, logits: Tensor, targets: Tensor, lengths: Tensor) -> dict[str, Ratio]:
    there = targets != IGNORE
    greedy = (model.decode(vector, len(targets)) == targets) & there
    forced = (logits.argmax(dim=-1) == targets) & there
    whole = (greedy.sum(dim=0) == lengths) & (lengths > 0)
    return {
        "exact_match": Ratio(whole.sum(), (lengths > 0).sum()),
        "exact_match_tokens": Ratio(greedy.sum(), lengths.sum()),
        "forced_match_tokens": Ratio(forced.sum(), lengths.sum()),
    }


OBJECTIVE = Reconstruction
