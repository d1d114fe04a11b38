"""Several streams at once: texts that come and go, a token of each at every step, read in one batch.

Each has its own settings and random numbers, so what it is drawn with does not depend on the others. What is computed
for it in a batch is what is computed for it alone, up to the rounding of sums: two tokens that are all but equally
likely may change places.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lstm_lm.errors import RunError
from lstm_lm.generation.reader import Reader
from lstm_lm.generation.sampler import TokenStream
from lstm_lm.models import state as states
from lstm_lm.models.interface import LanguageModel, State

Drawn = list[int] | RunError
"""The next token of each of a stream's N texts; or why there is none."""


class SideBySide:
    """Streams of one model. Where texts share a part of its state (a Transformer's), each stream is read by itself."""

    def __init__(self, model: LanguageModel, autocast: torch.dtype | None = None) -> None:
        """Take the model, and `autocast` as `Reader` does."""
        self._read = Reader(model, autocast)
        with torch.inference_mode():
            self._axes = states.batch_axes(model)
        self._streams: list[TokenStream] = []
        self._state: State = None

    @property
    def streams(self) -> Sequence[TokenStream]:
        """Those that are there now, in the order of `step`."""
        return self._streams

    def join(self, *streams: TokenStream) -> None:
        """Take in streams of this model that have been fed, and are not continued elsewhere until they leave."""
        if self._axes is not None and streams:
            before = [self._state] if self._streams else []
            with torch.inference_mode():
                self._state = states.join([*before, *(stream.state for stream in streams)], self._axes)
        self._streams += streams

    def leave(self, *streams: TokenStream) -> None:
        """Let go of streams; what the model has read of them is forgotten."""
        gone = set(map(id, streams))
        if self._axes is not None and gone:
            kept: list[int] = []
            at = 0
            for stream in self._streams:
                if id(stream) not in gone:
                    kept += range(at, at + stream.num_samples)
                at += stream.num_samples
            with torch.inference_mode():
                columns = torch.tensor(kept, dtype=torch.int64, device=self._read.device)
                self._state = states.columns(self._state, self._axes, columns) if kept else None
        self._streams = [stream for stream in self._streams if id(stream) not in gone]

    @torch.inference_mode()
    def step(self) -> list[Drawn]:
        """Draw the next token of every text; of each stream, its own."""
        if not self._streams:
            return []
        if self._axes is None:
            logits = [self._read_alone(stream) for stream in self._streams]
        else:
            tokens = torch.cat([_last(stream) for stream in self._streams], dim=1)
            together, self._state = self._read(tokens, self._state)
            logits = list(torch.split(together[-1], [stream.num_samples for stream in self._streams]))
        chosen = [_chosen(stream, own) for stream, own in zip(self._streams, logits, strict=True)]
        there = [ids for ids in chosen if isinstance(ids, Tensor)]
        drawn = iter(torch.cat(there).tolist() if there else [])  # one wait for the device, not one a stream
        return [ids if isinstance(ids, RunError) else [next(drawn) for _ in range(len(ids))] for ids in chosen]

    def _read_alone(self, stream: TokenStream) -> Tensor:
        logits, stream.state = self._read(_last(stream), stream.state)
        return logits[-1]


def _last(stream: TokenStream) -> Tensor:
    if stream.last is None:
        raise ValueError("a stream is fed before it joins others")
    return stream.last


def _chosen(stream: TokenStream, logits: Tensor) -> Tensor | RunError:
    try:
        return stream.choose(logits)
    except RunError as error:
        return error
