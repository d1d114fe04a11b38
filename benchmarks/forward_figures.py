"""Section `figures` of forward.py: the ratios that the project has set itself, each at the shape it was set for."""

import os
from typing import Any

import torch
from figures import figure, spread
from rounds import Contender, Turns, take_turns
from shapes import DEEP, DEEP_SMALL_BATCH, HEADLINE, MODES, Case, Shape
from stacks import COMPILED, ONE_CORE, VENDOR, NotComparable, Stacks

from lstm_lm.training.compile.compilation import counts, reset

MANY_CORES = 8
ASKED_OF_ONE_CORE, ASKED_OF_ALL_CORES, ASKED_OF_MANY_CORES = 1.7, 1.0, 3.0
ASKED_OF_DEEP = 1.2
"""At one shape at least, of those with L >= 8 and B <= 8."""
ASKED_OF_WAVEFRONT, ASKED_OF_COMPILE = 2.5, 1.5
COMPILE_MODE = "default"


def measure(grid: str, kinds: tuple[str, ...], device: torch.device, rounds: int) -> dict[str, Any]:
    """The figures, and what could not be had."""
    rows: list[dict[str, Any]] = []
    missing: list[str] = []
    tiny = Shape(2, 8, 2, 5)
    headline, deep = (tiny, (tiny,)) if grid == "tiny" else (HEADLINE, DEEP)
    small_batch = tiny if grid == "tiny" else DEEP_SMALL_BATCH
    for kind in kinds:
        for mode in MODES:
            _try(rows, missing, _pipelined, Case(headline, kind, mode), device, rounds)
            _try(rows, missing, _loops, Case(small_batch, kind, mode), device, rounds)
            _try(rows, missing, _deep, deep, kind, mode, device, rounds)
            for name in () if grid == "tiny" else COMPILED:  # compiling takes minutes
                _try(rows, missing, _compiled, name, Case(small_batch, kind, mode), device, rounds)
    for row in rows:
        measured, asked = row["measured"], "" if row["asked"] is None else f"asked {row['asked']}"
        print(
            f"{row['what']:<48}{row['kind']:<9}{row['mode']:<10}{row['shape']:<24}"
            f"{measured['median']:>6.2f} ({measured['lowest']:.2f}-{measured['highest']:.2f})  {asked}",
            flush=True,
        )
    for reason in missing:
        print(f"left out: {reason}", flush=True)
    return {"figures": rows, "left_out": missing}


def _try(rows: list[dict[str, Any]], missing: list[str], measured: Any, *arguments: Any) -> None:
    try:
        rows += measured(*arguments)
    except NotComparable as reason:
        if str(reason) not in missing:
            missing.append(str(reason))


def _row(what: str, turns: Turns, name: str, of: str, case: Case, asked: float | None) -> dict[str, Any]:
    # what was asked is meant in float32; other types are for information
    asked = asked if case.kind == "float32" else None
    where = {"shape": case.shape.label, "kind": case.kind, "mode": case.mode}
    ms = {contender: round(turns.median(contender) * 1e3, 4) for contender in (name, of)}
    return figure(what, turns.speed(name, of), asked, **where, ms=ms)


def _run(contenders: list[Contender], device: torch.device, rounds: int) -> Turns:
    try:
        return take_turns(contenders, device, rounds)
    finally:
        for contender in contenders:
            contender.close()


def _pipelined(case: Case, device: torch.device, rounds: int) -> list[dict[str, Any]]:
    """pipelined against nn.LSTM on one core and on all."""
    stacks = Stacks(case, device)
    turns = _run([*stacks.vendors(), stacks.strategy("pipelined")], device, rounds)
    cpu, many = device.type == "cpu", (os.cpu_count() or 1) >= MANY_CORES
    asked = None if not cpu else ASKED_OF_MANY_CORES if many else ASKED_OF_ALL_CORES
    rows = [_row("pipelined against nn.LSTM on all cores", turns, "pipelined", VENDOR, case, asked)]
    if ONE_CORE in turns.seconds:
        asked = ASKED_OF_ONE_CORE
        rows += [
            _row("pipelined against nn.LSTM on one core", turns, "pipelined", ONE_CORE, case, asked),
            _row("nn.LSTM on all cores against one", turns, VENDOR, ONE_CORE, case, None),
        ]
    return rows


def _deep(shapes: tuple[Shape, ...], kind: str, mode: str, device: torch.device, rounds: int) -> list[dict[str, Any]]:
    """pipelined against nn.LSTM on all cores at deep shapes; the asked ratio is that of the best of them."""
    rows = []
    for shape in shapes:
        case = Case(shape, kind, mode)
        stacks = Stacks(case, device)
        turns = _run([stacks.vendors()[0], stacks.strategy("pipelined")], device, rounds)
        rows.append(_row("pipelined, L >= 8 and B <= 8", turns, "pipelined", VENDOR, case, None))
    best = max(rows, key=lambda row: float(row["measured"]["median"]))
    asked = ASKED_OF_DEEP if device.type == "cpu" and kind == "float32" else None
    return [*rows, {**best, **figure("pipelined, best of these shapes", best["measured"], asked)}]


def _loops(case: Case, device: torch.device, rounds: int) -> list[dict[str, Any]]:
    """wavefront against stepwise, both eager."""
    stacks = Stacks(case, device)
    turns = _run([stacks.strategy("wavefront"), stacks.strategy("stepwise")], device, rounds)
    asked = ASKED_OF_WAVEFRONT if device.type == "cpu" else None
    return [_row("wavefront against stepwise, eager", turns, "wavefront", "stepwise", case, asked)]


def _compiled(name: str, case: Case, device: torch.device, rounds: int) -> list[dict[str, Any]]:
    """A strategy compiled, against the same eager."""
    reset()  # limits on recompilation count the whole process
    stacks = Stacks(case, device)
    compiled = stacks.strategy(name, mode=COMPILE_MODE)
    turns = _run([stacks.strategy(name), compiled], device, rounds)
    compiled_so_far = counts()
    row = _row(f"{name}, compile={COMPILE_MODE} against eager", turns, compiled.name, name, case, ASKED_OF_COMPILE)
    row["first_call_seconds"] = spread([turns.first_call[compiled.name]])["median"]
    row["graphs"], row["graph_breaks"] = compiled_so_far.graphs, compiled_so_far.breaks
    return [row]
