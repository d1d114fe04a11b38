"""Cells on CUDA: one caller issues them anti-diagonal by anti-diagonal, each layer on a stream of its own.

The same code serves layers on several GPUs, where each has its own streams, and what one layer gives the next is
copied between them.
"""

from collections.abc import Callable

import torch

from lstm_lm.forward.grid.schedule import Cell, Plan, anti_diagonals, mirrored


class Streams:
    """Streams of the devices that the layers are on; the caller's streams wait for them, and they for the caller's."""

    def __init__(self, devices: tuple[torch.device, ...]) -> None:
        """`devices[l]` is layer l's."""
        self._devices = devices
        self._streams = [
            torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            for device in devices
        ]

    def run(self, plan: Plan, layers: int, cell: Callable[[int, int], None], *, backward: bool = False) -> None:
        """Issue `cell(layer, chunk)` for every cell; the caller's streams go on after all of them."""
        chunks = len(plan.lengths)
        issued = mirrored(cell, layers, chunks) if backward else cell
        callers = [torch.cuda.current_stream(device) for device in self._devices]
        for stream in self._streams:
            for caller in {*callers}:
                stream.wait_stream(caller)
        ended: dict[Cell, torch.cuda.Event] = {}
        for layer, chunk in anti_diagonals(layers, chunks):
            stream = self._streams[layers - 1 - layer if backward else layer]
            if layer:
                stream.wait_event(ended[layer - 1, chunk])
            with torch.cuda.stream(stream):
                issued(layer, chunk)
                ended[layer, chunk] = stream.record_event()
        for caller in {*callers}:
            for stream in self._streams:
                caller.wait_stream(stream)
