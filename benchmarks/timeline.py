"""A profiler's trace of one training step under forward=pipelined: which thread ran which cell, and when.

    python benchmarks/timeline.py [--device cpu] [--workers 2] [--out benchmarks/results/timeline.json]

`python benchmarks/plots.py` draws docs/images/pipeline.png from it. The cells' names are those that the strategy gives
to torch.profiler: `forward l=3 k=1` is layer 3 over chunk 1.
"""

import argparse
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from figures import record, save
from shapes import HEADLINE, Case, Shape
from stacks import NotComparable, Stacks
from torch.profiler import ProfilerActivity, profile

from lstm_lm.synchronize import synchronize
from lstm_lm.training.runtime.settings import keep_freed_memory

CELL = re.compile(r"(forward|backward) l=(\d+) k=(\d+)")
WARM_UP, ATTEMPTS = 5, 7


class Bar(NamedTuple):
    """One cell of the grid, as it ran."""

    direction: str
    layer: int
    chunk: int
    thread: int
    """Numbered from 0."""
    start_ms: float
    ms: float


def trace(shape: Shape, workers: int, device: torch.device) -> list[Bar]:
    """The cells of one training step (the fastest of a few), in the order in which they began.

    Raises:
        NotComparable: there is no `forward=pipelined` here, or it named no cell.
    """
    contender = Stacks(Case(shape, "float32", "training"), device).strategy("pipelined", workers=workers)
    try:
        for _ in range(WARM_UP):
            contender.work()
        # the workers' threads are older than the profiler: by itself it sees only its own thread and younger ones
        all_threads = torch._C._profiler._ExperimentalConfig(profile_all_threads=True)
        attempts: list[list[Bar]] = []
        for _ in range(ATTEMPTS):
            with profile(activities=[ProfilerActivity.CPU], experimental_config=all_threads) as profiled:
                contender.work()
                synchronize(device)
            attempts.append(_bars(profiled.events() or []))
    finally:
        contender.close()
    return min(attempts, key=lambda bars: bars[-1].start_ms)  # the one that the rest of the machine disturbed least


def _bars(events: Iterable[Any]) -> list[Bar]:
    found = [(event, CELL.fullmatch(event.name)) for event in events]
    cells = sorted(
        ((event, match) for event, match in found if match is not None), key=lambda pair: pair[0].time_range.start
    )
    if not cells:
        raise NotComparable("the strategy gave the profiler no name of a cell")
    begin = cells[0][0].time_range.start
    threads = {thread: number for number, thread in enumerate(sorted({event.thread for event, _ in cells}))}
    return [
        Bar(
            match[1],
            int(match[2]),
            int(match[3]),
            threads[event.thread],
            round((event.time_range.start - begin) / 1e3, 3),
            round(event.time_range.elapsed_us() / 1e3, 3),
        )
        for event, match in cells
    ]


def overlap(bars: list[Bar]) -> float:
    """The share of the time, from the first start to the last end, in which cells of two layers run at once."""
    moments = sorted({moment for bar in bars for moment in (bar.start_ms, bar.start_ms + bar.ms)})
    together = 0.0
    for start, end in pairwise(moments):
        running = {bar.layer for bar in bars if bar.start_ms < end and bar.start_ms + bar.ms > start}
        together += (end - start) * (len(running) > 1)
    return together / (moments[-1] - moments[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sizes", type=int, nargs=4, default=HEADLINE, metavar=tuple("LHBT"))
    parser.add_argument("--out", type=Path, help="write the trace there, as JSON")
    arguments = parser.parse_args()

    keep_freed_memory()
    shape, device = Shape(*arguments.sizes), torch.device(arguments.device)
    try:
        bars = trace(shape, arguments.workers, device)
    except NotComparable as reason:
        raise SystemExit(str(reason)) from reason
    results: dict[str, Any] = {"overlap": {}, "columns": Bar._fields, "cells": bars}
    for direction in ("forward", "backward"):
        own = [bar for bar in bars if bar.direction == direction]
        results["overlap"][direction] = round(overlap(own), 3)
        print(f"{direction}: {len(own)} cells; of their time, cells of two layers ran at once in {overlap(own):.0%}")
    settings = {"shape": shape.label, "workers": arguments.workers, "kind": "float32", "mode": "training"}
    save(record("timeline", device, settings, results), arguments.out)


if __name__ == "__main__":
    main()
