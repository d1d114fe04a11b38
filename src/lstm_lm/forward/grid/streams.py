"""Cells where at least one layer is on CUDA: one caller issues them, anti-diagonal by anti-diagonal.

Each CUDA layer has a stream of its own, on whatever device it is. Layers on the CPU are run by the caller itself, after
the CUDA cells of the same diagonal are issued, so both work at once. There are no further threads: autograd has one
thread a CUDA device, in which a whole backward pass runs, and which others would wait for.
"""

from collections.abc import Callable

import torch

from lstm_lm.forward.grid.schedule import Chunking, GridCell, anti_diagonals, mirrored


class Streams:
    """Streams of the devices that the layers are on; the caller's streams wait for them, and they for the caller's."""

    def __init__(self, devices: tuple[torch.device, ...]) -> None:
        """`devices[l]` is layer l's."""
        self._devices = devices
        self._streams: list[torch.cuda.Stream | None] = [
            torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
            for device in devices
        ]

    def run(self, chunking: Chunking, layers: int, cell: Callable[[int, int], None], *, backward: bool = False) -> None:
        """Issue `cell(layer, chunk)` for every cell; the caller's streams continue after all of them."""
        chunks = len(chunking.lengths)
        issued = mirrored(cell, layers, chunks) if backward else cell
        streams = list(reversed(self._streams)) if backward else self._streams
        own = [stream for stream in streams if stream is not None]
        callers = {torch.cuda.current_stream(device) for device in self._devices if device.type == "cuda"}
        for stream in own:
            for caller in callers:
                stream.wait_stream(caller)
        ended: dict[GridCell, torch.cuda.Event] = {}
        for layer, chunk in anti_diagonals(layers, chunks, last=[stream is None for stream in streams]):
            needed, here = ended.get((layer - 1, chunk)), streams[layer]
            if here is None:
                if needed is not None:
                    needed.synchronize()
                issued(layer, chunk)
                continue
            if needed is not None:
                here.wait_event(needed)
            with torch.cuda.stream(here):
                issued(layer, chunk)
                ended[layer, chunk] = here.record_event()
        for caller in callers:
            for stream in own:
                caller.wait_stream(stream)
