"""A model that reads tokens, and is left as it was."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lstm_lm.models.interface import LanguageModel, State


class Reader:
    """Runs a model on tokens: dropout off, and no trace of it afterwards, even in the middle of a training step.

    The model's mode and dropout generators, torch's own generators and autocast's cache stay as they were.
    """

    def __init__(self, model: LanguageModel, autocast: torch.dtype | None = None) -> None:
        """Take the model, on any device, and the type of the products in mixed precision (None: that of the weights).

        An autocast context around the calls changes nothing: a text is the same inside and outside of it.
        """
        self._model = model
        self.device = next(model.parameters()).device
        self._autocast = autocast
        self._compiled = any(map(_is_compiled, model.modules()))

    def __call__(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """`tokens` int64 `[T, N]` and the state before them -> `logits[T, N, V]` and the state after them."""
        model, device = self._model, self.device.type
        if self._compiled or model.training or self._autocast is not None or torch.is_autocast_enabled(device):
            with _undisturbed(model, device, self._autocast, self._compiled):
                return model(tokens, state)  # type: ignore[no-any-return]
        return model(tokens, state)  # type: ignore[no-any-return]


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
