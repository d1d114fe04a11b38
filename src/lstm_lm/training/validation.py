"""One validation: its scores, and what it scored; only those of the same tokens can be compared."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from lstm_lm.evaluation.scores import Scores
from lstm_lm.evaluation.token_sizes import Counts


@dataclass(frozen=True)
class Validation:
    """After optimizer step `step`; `text` is the CRC-32 of the split's token file."""

    step: int
    scores: Scores
    text: int

    def scored_as(self, other: Self) -> bool:
        """Whether both scored the same tokens of the same text; a limit on validation may have been changed between."""
        return self.text == other.text and self.scores.counts == other.scores.counts

    def is_better_than(self, best: Self | None) -> bool:
        """A loss that is no number is never better; what scored other tokens is no best to be compared with."""
        loss = self.scores.loss
        return math.isfinite(loss) and (best is None or not self.scored_as(best) or not loss >= best.scores.loss)

    def to_plain(self) -> dict[str, Any]:
        """For a checkpoint."""
        scores = self.scores
        return {
            "step": self.step,
            "text": self.text,
            "loss": scores.loss,
            "counts": scores.counts._asdict(),
            "no_bits": scores.reason,
            "shares": dict(scores.shares),
        }

    @classmethod
    def from_plain(cls, saved: Mapping[str, Any] | None) -> Self | None:
        """What `to_plain` gave; None where there was none."""
        if saved is None:
            return None
        scores = Scores.of(saved["loss"], Counts(**saved["counts"]), saved["no_bits"], saved["shares"])
        return cls(saved["step"], scores, saved["text"])
