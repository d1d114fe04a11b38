"""From token ids to more token ids: N texts in one batch, the state carried, constant memory per token."""

import contextlib
from collections.abc import Iterator
from typing import Self

import torch
from torch import Tensor, nn

from lstm_lm.generation.filters import Sampling
from lstm_lm.generation.token_chooser import TokenChooser
from lstm_lm.models.interface import LanguageModel, State

LONGEST_WINDOW = 1024
"""Tokens of a prompt that are read at once; what bounds the memory of a long one."""
_LOGITS_AT_ONCE = 2**22
"""Numbers; a window's logits `[T, N, V]` stay below this (16 MiB in float32)."""


class TokenStream(Iterator[Tensor]):
    """Endless new tokens; reading on, feeding more and reading again all continue one and the same N texts.

    Leaves the model as it was: its mode and dropout generators, torch's own generators and autocast's cache, even in
    the middle of a training step. Dropout is off while it works.
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
            autocast: the type of the products (mixed precision); None: that of the weights. An autocast context around
                the calls changes nothing: the same seed gives the same text inside and outside of it.
        """
        if num_samples < 1:
            raise ValueError(f"num_samples={num_samples}: must be >= 1")
        self._model = model
        self._device = next(model.parameters()).device
        self._num_samples = num_samples
        self._choose = TokenChooser(sampling, (num_samples, model.vocabulary_size), self._device, seed)
        self._autocast = autocast
        self._compiled = any(map(_is_compiled, model.modules()))
        with torch.inference_mode():
            self.state: State = model.initial_state(num_samples) if state is None else state
        """What the model has read: all but `last`."""
        self.last: Tensor | None = None
        """The newest token of each text, int64 `[1, N]`, which the model reads next; None before the first."""

    def restart(self) -> None:
        """Begin N other texts; what they are drawn with goes on."""
        with torch.inference_mode():
            self.state = self._model.initial_state(self._num_samples)
        self.last = None

    def feed(self, ids: Tensor) -> None:
        """Continue every text with `ids`, int64 `[n]`, read in whole windows."""
        window = max(1, min(LONGEST_WINDOW, _LOGITS_AT_ONCE // (self._num_samples * self._model.vocabulary_size)))
        for start in range(0, len(ids), window):
            tokens = ids[start : start + window].to(self._device).unsqueeze(1).expand(-1, self._num_samples)
            if self.last is not None:
                tokens = torch.cat([self.last, tokens])
            if len(tokens) > 1:
                with torch.inference_mode():
                    self._read(tokens[:-1])
            self.last = tokens[-1:]

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
            chosen = self._choose(self._read(self.last)[-1])
            self.last = chosen.unsqueeze(0)
        return chosen

    def _read(self, tokens: Tensor) -> Tensor:
        """Run `tokens[T, N]` through the model, keep the state after them, give `logits[T, N, V]`."""
        model = self._model
        device = self._device.type
        if self._compiled or model.training or self._autocast is not None or torch.is_autocast_enabled(device):
            with _undisturbed(model, device, self._autocast, self._compiled):
                logits, self.state = model(tokens, self.state)
        else:
            logits, self.state = model(tokens, self.state)
        return logits  # type: ignore[no-any-return]


@contextlib.contextmanager
def _undisturbed(model: LanguageModel, device: str, autocast: torch.dtype | None, compiled: bool) -> Iterator[None]:
    """Evaluation mode and the autocast that is asked for; afterwards each module's mode is what it was."""
    training = [module for module in model.modules() if module.training]
    with contextlib.ExitStack() as contexts:
        # Casts made here must not stay in the cache: they carry no gradient, and a training step around would use them.
        contexts.enter_context(
            torch.autocast(device, dtype=autocast, enabled=autocast is not None, cache_enabled=False)
        )
        if compiled:
            # A training run's compiled graphs are made for its windows: compiling more for single tokens takes minutes.
            contexts.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            for module in training:
                module.training = False
            yield
        finally:
            for module in training:
                module.training = True


def _is_compiled(module: nn.Module) -> bool:
    """Whether torch.compile has been applied: in place, or as a wrapper."""
    return getattr(module, "_compiled_call_impl", None) is not None or type(module).__name__ == "OptimizedModule"
