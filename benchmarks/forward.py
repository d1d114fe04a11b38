"""Ways to run a stack of LSTM layers against torch.nn.LSTM: on all cores (PyTorch's own number of threads) and on one.

    python benchmarks/forward.py [--device cpu] [--grid small] [--rounds 9] [--sections ...] [--out FILE.json]

Inference is a forward pass; training is forward and backward, with the gradients of all parameters and of x. All
contenders share one process and take turns in every round, and ratios are each round's own (rounds.py). bfloat16 and
float16 are autocast's, with float32 weights, as in training. The allocator keeps freed memory for all, torch.nn.LSTM
too (benchmarks/training.py compares with PyTorch's defaults).

    grid           every strategy on many shapes; where each wins; whether auto takes the best
    held_out       the same on a random sample of shapes on which auto's rule was not made
    figures        the ratios that the project has set itself
    custom_cells   what cells and regularisers cost that no vendor computes
    scaling        threads (CPU)
    vendor         one nn.LSTM of L layers against L of one; streams with and without CUDA graphs (CUDA)

`--grid small` takes about 15 minutes on two cores, `full` hours. With `--out`, sections that are not measured now are
kept as they are in the file, if it is this machine's. `--judge` measures nothing: it asks auto's present rule what it
takes in each kept cell, and compares the medians that were measured there.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forward_cells
import forward_figures
import forward_grid
import forward_threads
import torch
from figures import record, save
from shapes import grid_cases, held_out_cases
from stacks import TYPES

from lstm_lm.cells.lstm import LSTM
from lstm_lm.forward import trials
from lstm_lm.training.runtime.settings import keep_freed_memory

SECTIONS = ("figures", "grid", "held_out", "custom_cells", "scaling", "vendor")
ONLY_ON = {"scaling": "cpu", "vendor": "cuda"}


def kinds_of(device: torch.device) -> tuple[str, ...]:
    """The types that are worth measuring there: those that a kernel computes."""
    kinds = ("float32", "bfloat16", "float16") if device.type == "cuda" else ("float32", "bfloat16")
    return tuple(kind for kind in kinds if trials.computed_in(LSTM, [device], TYPES[kind]) == TYPES[kind])


def section(name: str, grid: str, device: torch.device, rounds: int) -> dict[str, Any]:
    """Measure one section."""
    kinds = kinds_of(device)
    many = (rounds + 1) // 2
    """Rounds where there are many cells and none is a headline."""
    ways: dict[str, Callable[[], dict[str, Any]]] = {
        "figures": lambda: forward_figures.measure(grid, kinds, device, rounds),
        "grid": lambda: forward_grid.measure(grid_cases(grid, kinds), device, many),
        "held_out": lambda: forward_grid.measure(held_out_cases(grid, kinds), device, many),
        "custom_cells": lambda: forward_cells.measure(grid, kinds, device, many),
        "scaling": lambda: forward_threads.scaling(grid, kinds, device, rounds),
        "vendor": lambda: forward_threads.vendor(grid, kinds, device, many),
    }
    began = time.perf_counter()
    result = ways[name]()
    if name == "grid":
        result["break_even"] = forward_grid.break_even(result["cells"])
    few = name in ("figures", "scaling")
    return {"grid": grid, "rounds": rounds if few else many, "seconds": round(time.perf_counter() - began), **result}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--grid", default="small", choices=("tiny", "small", "full"), help="tiny: to try the script")
    parser.add_argument("--rounds", type=int, default=9, help="of figures and scaling; the others take half as many")
    parser.add_argument("--sections", nargs="+", default=SECTIONS, choices=SECTIONS)
    parser.add_argument("--judge", action="store_true", help="only judge auto anew, on the cells of --out")
    parser.add_argument("--out", type=Path, help="write the figures there, as JSON")
    arguments = parser.parse_args()

    keep_freed_memory()
    device = torch.device(arguments.device)
    settings = {
        "threads": torch.get_num_threads(),
        "allocator": "keeps freed memory, for all contenders",
        "input_size": "H",
        "weights": "float32; bfloat16 and float16 are autocast's",
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
    }
    results = kept(arguments.out, device, settings)
    if arguments.judge:
        for name in ("grid", "held_out"):
            results[name]["auto"] = forward_grid.judge_again(results[name]["cells"], device)
        save(record("forward", device, settings, results), arguments.out)
    for name in () if arguments.judge else SECTIONS:
        if name in arguments.sections and ONLY_ON.get(name, device.type) == device.type:
            print(f"--- {name}", flush=True)
            results[name] = section(name, arguments.grid, device, arguments.rounds)
            in_order = {name: results[name] for name in SECTIONS if name in results}
            save(record("forward", device, settings, in_order), arguments.out)  # now: an interrupted run keeps its work
    for name in ("grid", "held_out"):
        if name in results:
            auto = results[name]["auto"]
            share = f"{auto['share_right']:.0%} of {auto['cells']}"
            print(f"auto is right in {share} cells of {name}, worst {auto['worst']:.2f}")


def kept(path: Path | None, device: torch.device, settings: dict[str, Any]) -> dict[str, Any]:
    """The sections that the file at `path` holds already, if it is of this machine and these versions."""
    if path is None or not path.exists():
        return {}
    before = json.loads(path.read_text(encoding="utf-8"))
    now = record("forward", device, settings, {})
    if any(before.get(key) != now[key] for key in ("benchmark", "machine", "versions", "settings")):
        return {}
    return {name: before[name] for name in SECTIONS if name in before}


if __name__ == "__main__":
    main()
