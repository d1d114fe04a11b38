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
        self._last = torch.empty(1, 0, dtype=torch.int64, device=self._read.device)
        """The newest token of each text, int64 `[1, N]`, which is read next."""

    @property
    def streams(self) -> Sequence[TokenStream]:
        """Those that are there now, in the order of `step`."""
        return self._streams

    def join(self, *streams: TokenStream) -> None:
        """Take in streams of this model that have been fed, and are not continued elsewhere from then on."""
        if self._axes is not None and streams:
            before = [(self._state, self._last)] if self._streams else []
            parts = [*before, *((stream.state, _last(stream)) for stream in streams)]
            with torch.inference_mode():
                self._state = states.join([state for state, _ in parts], self._axes)
                self._last = torch.cat([last for _, last in parts], dim=1)
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
                self._state = states.columns(self._state, self._axes, columns)
                self._last = self._last.index_select(1, columns)
        self._streams = [stream for stream in self._streams if id(stream) not in gone]

    @torch.inference_mode()
    def step(self) -> list[Drawn]:
        """Draw the next token of every text; of each stream, its own."""
        if not self._streams:
            return []
        if self._axes is None:
            return [_next(stream) for stream in self._streams]
        together, self._state = self._read(self._last, self._state)
        logits = together[-1]
        noises: list[Tensor] = []
        others: list[tuple[int, Tensor]] = []  # tokens that are drawn in another way, and the first one's column
        failed: dict[int, RunError] = {}
        at = 0
        for place, stream in enumerate(self._streams):
            own, noise = logits[at : at + stream.num_samples], None
            try:
                if stream.chooser.only_adds:
                    noise = stream.chooser.noise(own)
                else:
                    others.append((at, stream.chooser(own)))
            except RunError as error:
                failed[place] = error
            noises.append(torch.zeros_like(own) if noise is None else noise)
            at += stream.num_samples
        chosen = torch.add(logits, torch.cat(noises)).argmax(-1)
        for start, tokens in others:
            chosen[start : start + len(tokens)] = tokens
        self._last = chosen.unsqueeze(0)
        drawn = iter(chosen.tolist())  # one wait for the device, not one a stream
        parts = [[next(drawn) for _ in range(stream.num_samples)] for stream in self._streams]
        return [failed.get(place, part) for place, part in enumerate(parts)]


def _last(stream: TokenStream) -> Tensor:
    if stream.last is None:
        raise ValueError("a stream is fed before it joins others")
    return stream.last


def _next(stream: TokenStream) -> Drawn:
    try:
        return list(map(int, next(stream).tolist()))
    except RunError as error:
        return error
