"""Ctrl-C or SIGTERM while other processes work: those are asked to end, and who waits for them learns of it."""

import signal
import subprocess
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from lstm_lm.errors import Interrupted
from lstm_lm.process_group import end_family, pass_on
from lstm_lm.stop_signals import signals_that_stop


class StopRequest:
    """Catches the signals inside its `with` block; the first asks the process at work to end, the second ends it."""

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._on_signal) for number in signals_that_stop()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def came(self) -> bool:
        """Whether a signal came."""
        return self.signal_number is not None

    def watch(self, child: subprocess.Popen[bytes] | None) -> None:
        """From now on, `child` is the process at work; None: there is none."""
        self._child = child
        if child is not None and self.signal_number is not None:  # it came while the process was being started
            pass_on(child, self.signal_number)

    def check(self) -> None:
        """Say so if a signal came.

        Raises:
            Interrupted: one did.
        """
        if self.signal_number is not None:
            raise Interrupted(self.signal_number)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        again = self.signal_number is not None
        self.signal_number = self.signal_number or number
        if self._child is not None and self._child.poll() is None:
            if again:
                end_family(self._child)
            else:
                pass_on(self._child, number)
