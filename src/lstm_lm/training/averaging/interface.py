"""When an average of the weights begins, and how much each step counts in it.

Every average here is a running one: the n-th weights w_n that it takes in move it by a share of the way,

    average += share(n) * (w_n - average),   share(1) = 1
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from lstm_lm.options import Options


class Averaging(ABC):
    """A rule for an average; it holds no weights. Its module holds it as the constant `AVERAGING`."""

    OptionsType: ClassVar[type[Options]]
    """The configuration's `averaging` section."""

    wanted: ClassVar[bool] = True
    """Whether there is to be an average at all."""

    needs_validation: ClassVar[bool] = False
    """Whether it never begins without validations."""

    def __init__(self, options: Any) -> None:
        """Take the checked `averaging` section."""
        self.options = options

    @abstractmethod
    def begins(self, step: int) -> bool:
        """Whether the weights after optimizer step `step` (from 1 on) count; once they do, all later ones do."""

    @abstractmethod
    def share(self, count: int) -> float:
        """How far the `count`-th weights (from 1 on) that count move the average towards them; over 0, at most 1."""

    def note_validation(self, loss: float) -> None:  # noqa: B027  (a rule may not care)
        """Hear of a validation's loss, nats per token."""

    def forget_validations(self) -> None:  # noqa: B027  (a rule may not care)
        """Hear that the losses so far are of other tokens than those to come."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of it: plain values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027  (a rule may not care)
        """Go on from what `state_dict` gave."""
