"""Tables of more rows than a page has room for, as CSV: made from the JSON in `benchmarks/results/`, beside it."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kinds import kind_of, there

Cell = dict[str, Any]
Figures = dict[str, Any]
VENDOR = "nn.LSTM"


def tables(results: Path) -> dict[str, str]:
    """By the file's name, its text."""
    makers = {
        "training.csv": ("training", _training),
        "forward.csv": ("forward", _forward),
        "forward_pairs.csv": ("forward", _pairs),
        "forward_cells.csv": ("forward", _cells),
        "forward_threads.csv": ("forward", _threads),
        "evaluation.csv": ("evaluation", _evaluation),
    }
    found = {}
    for name, (benchmark, make) in makers.items():
        files = there(results, benchmark).values()
        rows = [{"machine": kind_of(figures), **row} for figures in files for row in make(figures)]
        found[name] = _text(rows)
    return found


def _training(figures: Figures) -> Iterator[Cell]:
    """Contenders of a whole training step, against the loop that people write."""
    for shape, result in figures["shapes"].items():
        for name, one in result["contenders"].items():
            how = {key: one[key] for key in ("precision", "forward", "compile")}
            times = _spread(result["speed_of_today"].get(name), "times as fast as today")
            yield (
                {"shape": shape, "contender": name, **how, "ms a step": one["step_ms"]["median"]}
                | times
                | {"loss": one["loss"]}
            )


def _forward(figures: Figures) -> Iterator[Cell]:
    """Strategies against nn.LSTM on all cores: on the grid, and on shapes that auto's rule was not made on."""
    for section in ("grid", "held_out"):
        for cell in figures.get(section, {"cells": []})["cells"]:
            where = {key: cell[key] for key in ("kind", "mode", "layers", "hidden", "batch", "steps")}
            for name, ms in cell["ms"].items():
                times = _spread(cell["speed_of_vendor"].get(name), "times as fast as nn.LSTM")
                chosen = "yes" if name == cell["auto"] else ""
                yield {"shapes": section, **where, "how": name, "ms": ms} | times | {"auto takes it": chosen}


def _pairs(figures: Figures) -> Iterator[Cell]:
    """One way of running against another, each in rounds of its own."""
    for row in figures.get("figures", {"figures": []})["figures"]:
        if not row["what"].startswith("pipelined, best"):  # there already
            where = {key: row[key] for key in ("what", "kind", "mode", "shape")}
            own, other = row["ms"].values()
            yield where | _spread(row["measured"], "times as fast") | {"ms": own, "ms of the other": other}


def _cells(figures: Figures) -> Iterator[Cell]:
    """Cells that no vendor computes: whole models, against the plain cell on the vendor's kernel."""
    for row in figures.get("custom_cells", {"rows": []})["rows"]:
        where = {key: row[key] for key in ("variant", "kind", "mode", "layers", "hidden", "batch", "steps")}
        for name, times in row["times_the_vendors"].items():
            yield where | {"how": name} | _spread(times, "times as long")


def _threads(figures: Figures) -> Iterator[Cell]:
    """nn.LSTM and pipelined on one core and on all, while something else took a core now and then."""
    for row in figures.get("scaling", {"rows": []})["rows"]:
        for name, times in row["speed_of_one_core"].items():
            how, _, threads = name.rpartition(", ")
            where = {key: row[key] for key in ("kind", "mode", "shape")}
            yield where | {"how": how, "threads": threads} | _spread(times, "times as fast as nn.LSTM on one core")


def _evaluation(figures: Figures) -> Iterator[Cell]:
    """A validation split in several streams, against one."""
    for row in figures["layouts"]:
        where = {key: row[key] for key in ("eval_batch_size", "eval_context", "loss", "difference")}
        yield where | {"seconds": row["seconds"]["median"]} | _spread(row["times_faster"], "times as fast")


def _spread(times: dict[str, float] | None, name: str) -> Cell:
    found: Cell = dict(times or {})
    return {name: found.get("median", ""), "lowest": found.get("lowest", ""), "highest": found.get("highest", "")}


def _text(rows: list[Cell]) -> str:
    text = io.StringIO()
    columns = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
