"""Averaged stochastic gradient descent, begun when validation stops getting better.

Source: Merity, Keskar and Socher, "Regularizing and Optimizing LSTM Language Models", 2017, algorithm 1 (NT-ASGD):
averaging begins with the step after the first validation whose loss is worse than the best of all but the last
`non_monotone` before it. From then on every step's weights count alike.
"""

import math
from typing import Annotated, Any, ClassVar

from pydantic import Field

from lstm_lm.options import Options
from lstm_lm.training.averaging.interface import Averaging


class ASGDOptions(Options):
    """`averaging=asgd`."""

    name: str
    non_monotone: Annotated[int, Field(ge=0)]


class ASGD(Averaging):
    """The plain mean of the weights since validation stopped getting better."""

    OptionsType: ClassVar[type[Options]] = ASGDOptions
    needs_validation = True

    def __init__(self, options: ASGDOptions) -> None:
        super().__init__(options)
        self._losses: list[float] = []
        self._triggered = False

    def begins(self, step: int) -> bool:  # noqa: ARG002
        """As in `Averaging.begins`."""
        return self._triggered

    def share(self, count: int) -> float:
        """As in `Averaging.share`."""
        return 1 / count

    def note_validation(self, loss: float) -> None:
        """As in `Averaging.note_validation`; a loss that is no number says nothing."""
        if self._triggered or not math.isfinite(loss):
            return
        older = self._losses[: max(0, len(self._losses) - self.options.non_monotone)]
        self._triggered = bool(older) and loss > min(older)
        self._losses.append(loss)

    def forget_validations(self) -> None:
        """As in `Averaging.forget_validations`; an average that has begun goes on."""
        self._losses = []

    def state_dict(self) -> dict[str, Any]:
        """As in `Averaging.state_dict`."""
        return {"losses": list(self._losses), "triggered": self._triggered}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As in `Averaging.load_state_dict`."""
        self._losses, self._triggered = list(state["losses"]), state["triggered"]


AVERAGING = ASGD
