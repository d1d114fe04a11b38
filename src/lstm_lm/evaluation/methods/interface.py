"""What a method of evaluation gets and gives."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch

from lstm_lm.data.corpora.interface import Split
from lstm_lm.data.lines import Lines
from lstm_lm.data.token_stream import Placed
from lstm_lm.evaluation.token_sizes import TokenSizes
from lstm_lm.forward.choose import ForwardPath
from lstm_lm.forward.interface import Workload
from lstm_lm.models.interface import LanguageModel
from lstm_lm.options import Options
from lstm_lm.tokenizers import Tokenizer

Report = Callable[[str, int, int], None]
"""Called with how far the work is: what is being done, how many of its parts are done, and how many there are."""


class Windows(NamedTuple):
    """How validation reads a text (the `data` section's eval_batch_size, seq_len and eval_context)."""

    batch_size: int
    """B, most streams side by side."""
    seq_len: int
    """T."""
    context: int
    """Tokens that each stream but the first reads before the first one that counts."""


@dataclass(frozen=True)
class Subject:
    """A model, and the text that it is evaluated on."""

    model: LanguageModel
    """In evaluation mode, on `device`."""
    tokens: Mapping[Split, Placed]
    """The ids of each split there is, [N]."""
    replaced: Mapping[Split, int]
    """Pieces of each split's text that the tokenizer does not know."""
    sizes: TokenSizes
    tokenizer: Tokenizer
    windows: Windows
    device: torch.device
    dtype: torch.dtype
    """Type of the model's parameters."""
    autocast: torch.dtype | None
    """Type of the products, where it is another one (mixed precision)."""
    use_forward: Callable[[Workload], ForwardPath]
    """Takes the forward strategy that the user asked for; with `auto` the fastest for this workload."""
    report: Report = lambda *_: None
    lines: Mapping[Split, Lines] = field(default_factory=dict)
    """Of a model that was trained on units, those of each split."""
    separator: str | None = None
    """What such a unit ends with."""
    dealt: bool = False
    """Whether the units were dealt to the splits at random."""

    def workload(self, batch_size: int, steps: int, *, training: bool = False) -> Workload:
        """What a strategy will be asked to do."""
        return Workload(batch_size, steps, dtype=self.autocast or self.dtype, training=training)


class Outcome(NamedTuple):
    """What a method found."""

    choice: ForwardPath
    """The forward strategy that ran."""
    figures: dict[str, Any]
    """Plain data, for the method's section of evaluation.json."""


class Method(ABC):
    """One option of `method=`. Its module holds the class as the constant `METHOD`."""

    OptionsType: ClassVar[type[Options]]
    no_units: ClassVar[str | None] = None
    """Why it makes no sense of lines and documents by themselves; None: it does."""

    def __init__(self, options: Any) -> None:
        """Take the checked `method` section."""
        self.options = options

    @abstractmethod
    def evaluate(self, subject: Subject) -> Outcome:
        """Evaluate `subject.model`, which is afterwards what it was before.

        Raises:
            UserError: the options do not fit this model or this text.
        """
