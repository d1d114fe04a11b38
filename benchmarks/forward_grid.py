"""Section `grid` and `held_out` of forward.py: every strategy on many shapes, where each wins, and what auto takes."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import torch
from rounds import take_turns
from shapes import Case, Shape
from stacks import ONE_CORE, VENDOR, Stacks

GOOD_ENOUGH = 0.95
"""auto is right in a cell where it reaches this share of the best strategy's speed."""
ASKED_SHARE = 0.9
"""Of all cells."""


def measure(cases: Iterable[Case], device: torch.device, rounds: int) -> dict[str, Any]:
    """A row a case, and in how many of them auto is right."""
    cells = [_cell(case, device, rounds) for case in cases]
    return {"cells": cells, "auto": judge(cells)}


def judge(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """The share of cells in which auto is right, and its speed in the worst."""
    speeds = [cell["auto_speed_of_best"]["median"] for cell in cells]
    share = sum(speed >= GOOD_ENOUGH for speed in speeds) / len(speeds)
    return {"cells": len(cells), "share_right": round(share, 3), "asked": ASKED_SHARE, "worst": min(speeds)}


def judge_again(cells: list[dict[str, Any]], device: torch.device) -> dict[str, Any]:
    """What auto's present rule takes in cells that were measured before, compared by the medians of then."""
    for cell in cells:
        shape = Shape(*(cell[key] for key in Shape._fields))
        cell["auto"] = Stacks(Case(shape, cell["kind"], cell["mode"]), device).auto()
        cell["auto_speed_of_best"] = {"median": round(cell["ms"][cell["best"]] / cell["ms"][cell["auto"]], 3)}
    return judge(cells)


def break_even(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each L, H, T: the smallest B from which on the vendor's kernel beats each other strategy.

    `from_batch` is None where it never does on this grid; the smallest B of the grid where it always does.
    """

    def place(cell: dict[str, Any]) -> tuple[Any, ...]:
        return cell["kind"], cell["mode"], cell["layers"], cell["hidden"], cell["steps"]

    rows: list[dict[str, Any]] = []
    for key, group in groupby(sorted(cells, key=lambda cell: (*place(cell), cell["batch"])), place):
        column = list(group)
        others = {name for cell in column for name in cell["ms"]} - {"fused", VENDOR, ONE_CORE}
        found: dict[str, int | None] = {}
        for other in sorted(others):
            found[other] = None
            for cell in reversed(column):
                if "fused" not in cell["ms"] or cell["ms"].get(other, float("inf")) <= cell["ms"]["fused"]:
                    break
                found[other] = cell["batch"]
        kind, mode, layers, hidden, steps = key
        rows.append(
            {"kind": kind, "mode": mode, "layers": layers, "hidden": hidden, "steps": steps, "from_batch": found}
        )
    return rows


def _cell(case: Case, device: torch.device, rounds: int) -> dict[str, Any]:
    stacks = Stacks(case, device)
    strategies, refused = stacks.all_strategies()
    vendors = stacks.vendors()
    contenders = [*vendors, *strategies]
    turns = take_turns(contenders, device, rounds)
    for contender in contenders:
        contender.close()
    auto = stacks.auto()
    best = min((contender.name for contender in strategies), key=turns.median)
    row: dict[str, Any] = {
        **case.shape._asdict(),
        "kind": case.kind,
        "mode": case.mode,
        "ms": {name: round(turns.median(name) * 1e3, 4) for name in turns.seconds},
        "speed_of_vendor": {contender.name: turns.speed(contender.name, VENDOR) for contender in strategies},
        "best": best,
        "auto": auto,
        "auto_speed_of_best": turns.speed(auto, best),
    }
    if any(contender.name == ONE_CORE for contender in vendors):
        row["speed_of_one_core"] = {contender.name: turns.speed(contender.name, ONE_CORE) for contender in contenders}
    if refused:
        row["refused"] = refused
    speeds = " ".join(f"{name} {ratio['median']:.2f}" for name, ratio in row["speed_of_vendor"].items())
    print(
        f"{case.kind:<9}{case.mode:<10}{case.shape.label:<24}{row['ms'][VENDOR]:>9.2f} ms  {speeds}"
        f"  best {best}, auto {auto} {row['auto_speed_of_best']['median']:.2f}",
        flush=True,
    )
    return row
