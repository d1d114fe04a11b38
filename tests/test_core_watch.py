import os
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from lstm_lm.core_watch import CoreWatch


def _times(*idle: float) -> list[SimpleNamespace]:
    return [SimpleNamespace(idle=seconds, iowait=seconds / 2) for seconds in idle]


def test_what_others_leave_is_idle_or_this_process_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds: core 0 idle for 4 of them and waiting for a disk for 2, core 1 for none, core 2 not ours; 3 own."""
    readings: Sequence[Any] = [_times(100.0, 50.0, 70.0), _times(104.0, 50.0, 80.0)]
    reading, clock = iter(readings), iter([0.0, 10.0, 10.0])
    own = iter([(1.0, 2.0, 0.0, 0.0, 7.0), (2.5, 2.5, 0.0, 1.0, 17.0)])
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: next(reading))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    monkeypatch.setattr(os, "times", lambda: next(own))
    assert CoreWatch().free() == pytest.approx(0.9)


def test_this_machine_has_no_more_free_cores_than_cores() -> None:
    # the kernel counts in hundredths of a second
    assert 0.0 <= CoreWatch().free() <= (os.cpu_count() or 1) * 1.2
