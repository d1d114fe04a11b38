"""From token ids to more token ids: N texts in one batch, the state carried, constant memory per token."""

from collections.abc import Iterator
from typing import Self

import torch
from torch import Tensor

from lstm_lm.generation.filters import Sampling
from lstm_lm.generation.reader import Reader
from lstm_lm.generation.token_chooser import TokenChooser
from lstm_lm.models.interface import LanguageModel, State

LONGEST_WINDOW = 1024
"""Tokens of a prompt that are read at once; what bounds the memory of a long one."""
_LOGITS_AT_ONCE = 2**22
"""Numbers; a window's logits `[T, N, V]` stay below this (16 MiB in float32)."""


class TokenStream(Iterator[Tensor]):
    """Endless new tokens; reading on, feeding more and reading again all continue one and the same N texts.

    Leaves the model as it was (`Reader`). Several streams can go on side by side, in one batch: `side_by_side.py`.
    """

    def __init__(
        self,
        model: LanguageModel,
        sampling: Sampling,
        *,
        num_samples: int = 1,
        seed: int | None = None,
        state: State | None = None,
        autocast: torch.dtype | None = None,
    ) -> None:
        """Begin N = `num_samples` texts.

        Args:
            model: on any device.
            sampling: how tokens are drawn.
            num_samples: N >= 1.
            seed: 0 to 2^63 - 1; None: another text each time.
            state: the state before the first token fed, for N streams; None: the initial one.
            autocast: the type of the products (mixed precision); None: that of the weights.
        """
        if num_samples < 1:
            raise ValueError(f"num_samples={num_samples}: must be >= 1")
        self._model = model
        self._read = Reader(model, autocast)
        self.num_samples = num_samples
        """N."""
        self.chooser = TokenChooser(sampling, (num_samples, model.vocabulary_size), self._read.device, seed)
        """What draws the tokens."""
        with torch.inference_mode():
            self.state: State = model.initial_state(num_samples) if state is None else state
        """What the model has read: all but `last`."""
        self.last: Tensor | None = None
        """The newest token of each text, int64 `[1, N]`, which the model reads next; None before the first."""

    def restart(self) -> None:
        """Begin N other texts; what they are drawn with goes on."""
        with torch.inference_mode():
            self.state = self._model.initial_state(self.num_samples)
        self.last = None

    def feed(self, ids: Tensor) -> None:
        """Continue every text with `ids`, int64 `[n]`, read in whole windows."""
        for _ in self.feeding(ids):
            pass

    def feeding(self, ids: Tensor) -> Iterator[int]:
        """`feed`, a window at each step, which gives how many tokens of each text were read."""
        window = max(1, min(LONGEST_WINDOW, _LOGITS_AT_ONCE // (self.num_samples * self._model.vocabulary_size)))
        for start in range(0, len(ids), window):
            tokens = ids[start : start + window].to(self._read.device).unsqueeze(1).expand(-1, self.num_samples)
            if self.last is not None:
                tokens = torch.cat([self.last, tokens])
            if len(tokens) > 1:
                with torch.inference_mode():
                    _, self.state = self._read(tokens[:-1], self.state)
            self.last = tokens[-1:]
            yield len(tokens)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Tensor:
        """The next token of each text, int64 `[N]`.

        Raises:
            RunError: the model predicts no numbers (its weights have diverged).
            ValueError: nothing has been fed yet.
        """
        if self.last is None:
            raise ValueError("feed at least one token before the first is drawn")
        # Entered for each token, because what runs between two tokens is the caller's code.
        with torch.inference_mode():
            logits, self.state = self._read(self.last, self.state)
            return self.choose(logits[-1])

    def choose(self, logits: Tensor) -> Tensor:
        """Draw the next token of each text, int64 `[N]`, from what the model made of `last`, floats `[N, V]`.

        Raises:
            RunError: as above.
        """
        chosen = self.chooser(logits)
        self.last = chosen.unsqueeze(0)
        return chosen
