"""Points in time on whatever does the work: a GPU runs behind the program that feeds it."""

import time
from typing import Self

import torch


class Moment:
    """Now, on the host; on a GPU, when it has done all that it was asked for until now. Never waits to be made."""

    def __init__(self, device: torch.device) -> None:
        self._host = time.perf_counter()
        self._event: torch.cuda.Event | None = None
        if device.type == "cuda":
            self._event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            self._event.record(torch.cuda.current_stream(device))

    def is_past(self) -> bool:
        """Whether the device has come this far."""
        return self._event is None or bool(self._event.query())  # type: ignore[no-untyped-call]

    def wait(self) -> None:
        """Until it has."""
        if self._event is not None:
            self._event.synchronize()

    def seconds_since(self, earlier: Self) -> float:
        """Between two moments of one device, both past; waiting for work counts."""
        if self._event is None or earlier._event is None:
            return self._host - earlier._host
        return float(earlier._event.elapsed_time(self._event)) / 1e3
