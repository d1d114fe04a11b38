"""Sections `scaling` (CPU) and `vendor` (CUDA) of forward.py."""

import os
from itertools import product
from typing import Any

import torch
from rounds import Contender, take_turns
from shapes import HEADLINE, MODES, Case, Shape
from stacks import VENDOR, NotComparable, Stacks

VENDOR_HIDDEN, VENDOR_BATCH = (128, 256, 512, 1024), (16, 64)
VENDOR_LAYERS, VENDOR_STEPS = (2, 4, 8), 128
GRAPHS = "graph"
"""The key of `forward=pipelined` for CUDA graphs."""


def scaling(grid: str, kinds: tuple[str, ...], device: torch.device, rounds: int) -> dict[str, Any]:
    """nn.LSTM and pipelined on 1, 2, 4, ... threads, up to all cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = sorted({cores, *(2**power for power in range(cores.bit_length()))} - set(range(cores + 1, 4 * cores)))
    shape = Shape(2, 8, 2, 5) if grid == "tiny" else HEADLINE
    rows: list[dict[str, Any]] = []
    for kind, mode in product(kinds, MODES):
        stacks = Stacks(Case(shape, kind, mode), device)
        contenders = [stacks.vendor_on(count) for count in threads]
        left_out = _add(
            contenders, stacks, [(f"pipelined, {count}", {"workers": count}) for count in threads], "pipelined"
        )
        turns = take_turns(contenders, device, rounds)
        for contender in contenders:
            contender.close()
        one = f"{VENDOR}, 1"
        row = {
            "shape": shape.label,
            "kind": kind,
            "mode": mode,
            "threads": threads,
            "ms": {name: round(turns.median(name) * 1e3, 4) for name in turns.seconds},
            "speed_of_one_core": {name: turns.speed(name, one) for name in turns.seconds},
        }
        rows.append(row | ({"left_out": left_out} if left_out else {}))
        speeds = {name: ratio["median"] for name, ratio in rows[-1]["speed_of_one_core"].items()}
        print(f"{kind:<9}{mode:<10}{shape.label}  speed of nn.LSTM on 1: {speeds} {' '.join(left_out)}", flush=True)
    return {"rows": rows}


def vendor(grid: str, kinds: tuple[str, ...], device: torch.device, rounds: int) -> dict[str, Any]:
    """One nn.LSTM of L layers against L of one layer, and pipelined with and without CUDA graphs."""
    shapes = [
        Shape(layers, hidden, batch, VENDOR_STEPS)
        for layers, hidden, batch in product(VENDOR_LAYERS, VENDOR_HIDDEN, VENDOR_BATCH)
        if grid == "full" or (layers == 4 and batch == 64) or (layers, hidden) == (8, 128)
    ]
    if grid == "tiny":
        shapes = [Shape(2, 8, 2, 5)]
    rows: list[dict[str, Any]] = []
    for shape, kind, mode in product(shapes, kinds, MODES):
        stacks = Stacks(Case(shape, kind, mode), device)
        contenders = [stacks.vendors()[0], stacks.layer_modules()]
        ways = [(f"pipelined, {GRAPHS}={'true' if on else 'false'}", {GRAPHS: on}) for on in (False, True)]
        left_out = _add(contenders, stacks, ways, "pipelined")
        turns = take_turns(contenders, device, rounds)
        for contender in contenders:
            contender.close()
        row = {
            **shape._asdict(),
            "kind": kind,
            "mode": mode,
            "ms": {name: round(turns.median(name) * 1e3, 4) for name in turns.seconds},
            "speed_of_vendor": {name: turns.speed(name, VENDOR) for name in turns.seconds if name != VENDOR},
        }
        rows.append(row | ({"left_out": left_out} if left_out else {}))
        speeds = {name: ratio["median"] for name, ratio in rows[-1]["speed_of_vendor"].items()}
        print(f"{kind:<9}{mode:<10}{shape.label:<24} speed of {VENDOR}: {speeds} {' '.join(left_out)}", flush=True)
    return {"rows": rows}


def _add(
    contenders: list[Contender], stacks: Stacks, ways: list[tuple[str, dict[str, Any]]], strategy: str
) -> list[str]:
    """Add what can be had; gives why the rest cannot."""
    left_out: list[str] = []
    for label, options in ways:
        try:
            contenders.append(stacks.strategy(strategy, label=label, **options))
        except NotComparable as reason:
            left_out.append(str(reason))
    return sorted(set(left_out))
