"""What a checkpoint must hold of a run beside weights, optimizer, the schedule's step and Lightning's counters."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch

from lstm_lm.evaluation.scores import Scores
from lstm_lm.evaluation.token_sizes import Counts
from lstm_lm.models.interface import LanguageModel, State
from lstm_lm.models.state import clone, to_device
from lstm_lm.training.processes.team import Team
from lstm_lm.training.schedulers.interface import Progress
from lstm_lm.training.weight_average import WeightAverage


@dataclass(frozen=True)
class Validation:
    """A validation after optimizer step `step`; `text` is the CRC-32 of the split's token file."""

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


class RunState:
    """All of it, in one place, but for the place in the text, which Lightning saves with the data module.

    With several processes each has its own, and rank 0 keeps them all.
    """

    def __init__(self, model: LanguageModel, average: WeightAverage, team: Team) -> None:
        self._model, self._team = model, team
        self.average = average
        """Of the weights."""
        self.hidden: State = None
        """The hidden state that the last window has left; None: the next one starts from zero."""
        self.validation: Validation | None = None
        """The last one, of an earlier process too."""
        self.validation_due = False
        """Whether one was to follow when the checkpoint that is resumed was written."""
        self.progress = Progress()
        """What the schedule remembers of validations in training."""
        self._seconds_before = 0.0
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Wall time in training so far, that of the processes before this one included."""
        return self._seconds_before + time.perf_counter() - self._began

    def start_clock(self) -> None:
        """Time counts from here."""
        self._began = time.perf_counter()

    def state_dict(self, device: torch.device) -> dict[str, Any]:
        """Tensors and plain values. All processes must ask; what rank 0 gets is whole.

        Raises:
            RuntimeError: the average is in the weights' place, and the checkpoint would lack those.
        """
        generators: dict[str, Any] = {"masks": self._model.masks.state(), "torch": torch.get_rng_state()}
        if device.type == "cuda":
            generators["cuda"] = torch.cuda.get_rng_state(device)
        own = {"hidden": clone(self.hidden), "generators": generators}
        return {
            **own,
            "other_processes": self._team.gather(own)[1:],
            "averaging": self.average.state_dict(),
            "seconds": self.seconds,
            "validation": None if self.validation is None else self.validation.to_plain(),
            "validation_due": self.validation_due,
            "progress": self.progress._asdict(),
        }

    def load_state_dict(self, saved: dict[str, Any], device: torch.device) -> None:
        """Resume from what `state_dict` gave; a generator of another kind of device is left alone."""
        own = saved["other_processes"][self._team.rank - 1] if self._team.rank else saved
        self.hidden = to_device(own["hidden"], device)
        generators = own["generators"]
        self._model.masks.load_state(generators["masks"])
        torch.set_rng_state(generators["torch"])
        if generators.get("cuda") is not None and device.type == "cuda":
            torch.cuda.set_rng_state(generators["cuda"].cpu(), device)
        self.average.load_state_dict(saved["averaging"])
        self._seconds_before = saved["seconds"]
        self.validation = Validation.from_plain(saved["validation"])
        self.validation_due = saved["validation_due"]
        self.progress = Progress(*(saved["progress"][name] for name in Progress._fields))
