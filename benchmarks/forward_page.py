"""The part of docs/benchmarks.md that is about ways to run a stack: one chapter for each machine that was measured."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from page_parts import asked_and_measured, picture, section, span, table
from two_speeds_page import two_speeds

VENDOR, ONE_CORE = "nn.LSTM", "nn.LSTM, one core"
AS_FAST = 0.95
"""Of the fastest one's speed: rounds differ by as much."""
Figures = dict[str, Any]


def sections(files: dict[str, Figures], images: Path) -> list[str]:
    """A chapter a file."""
    return [_chapter(stem, figures, images) for stem, figures in files.items()]


def _chapter(stem: str, figures: Figures, images: Path) -> str:
    parts: dict[str, Callable[[Figures], str]] = {
        "figures": _figures,
        "grid": lambda part: _grid(part, stem, images),
        "held_out": lambda part: _held_out(part, stem),
        "custom_cells": _custom_cells,
        "scaling": lambda part: _scaling(part, stem, images),
        "vendor": _vendor,
    }
    body = two_speeds(figures) + "\n".join(make(figures[name]) for name, make in parts.items() if name in figures)
    settings, machine = figures["settings"], figures["machine"]
    note = (
        f"torch.nn.LSTM on all cores: PyTorch's own number of threads, {settings['threads']}. The allocator keeps "
        "freed memory for all contenders, torch.nn.LSTM too. bfloat16 and float16 are autocast's, with float32 "
        "weights. Training: forward and backward, gradients of all parameters and of x."
    )
    if not machine["device"].startswith("cpu"):
        note += (
            " Under bfloat16 autocast PyTorch runs torch.nn.LSTM on CUDA in float16; the project's strategies then run "
            "it in float32, as a loss that is not scaled needs."
        )
    place = f"{machine['device']}, {machine['cores']} cores"
    return section(f"Ways to run a stack, {place}", figures, "forward.py", body, note)


def _figures(part: Figures) -> str:
    text = asked_and_measured(part["figures"], ["kind", "mode", "shape"])
    if part["left_out"]:
        text += f"\nLeft out: {'; '.join(part['left_out'])}.\n"
    return f"### What was asked, what was measured\n\n{text}"


def _grid(part: Figures, stem: str, images: Path) -> str:
    text = f"### Every strategy, over the grid\n\n{_auto(part['auto'])}\n\n"
    for mode in ("inference", "training"):
        text += picture(images, f"{stem}-{mode}", f"Times as fast as nn.LSTM on all cores: {mode}, float32")
    if stem != "forward":
        return f"{text}The cells are in [results/{stem}.json](../benchmarks/results/{stem}.json).\n"
    text += _legend(part["cells"]) + _cells(part["cells"])
    text += (
        "\nThe smallest B of the grid from which on the vendor's kernel is faster than the others (`-`: at no B of the "
        "grid):\n\n"
    )
    others = sorted({name for row in part["break_even"] for name in row["from_batch"]})
    rows = [
        [
            row["kind"],
            row["mode"],
            *(str(row[key]) for key in ("layers", "hidden", "steps")),
            *("-" if row["from_batch"].get(name) is None else str(row["from_batch"][name]) for name in others),
        ]
        for row in part["break_even"]
    ]
    return text + table(["type", "mode", "L", "H", "T", *(f"than {name}" for name in others)], rows)


def _held_out(part: Figures, stem: str) -> str:
    text = f"### Shapes on which auto's rule was not made\n\nA random sample, drawn once. {_auto(part['auto'])}\n"
    return text if stem != "forward" else f"{text}\n{_legend(part['cells'])}{_cells(part['cells'])}"


def _legend(cells: list[Figures]) -> str:
    """What the table shows, and how often more than one core was too many."""
    text = (
        "Times as fast as torch.nn.LSTM on all cores, median (lowest-highest) over the rounds. Bold: the fastest, and "
        f"what reaches {AS_FAST} of its speed, which is as good.\n\n"
    )
    if not any(ONE_CORE in cell["ms"] for cell in cells):
        return text
    alone = sum(_is_best_alone(cell) for cell in cells)
    return text + (
        "The column `one core` is nn.LSTM with one thread, which no strategy is, and the last column compares "
        f"strategies on all cores. In {alone} of {len(cells)} cells one core beats all of them (there only that column "
        "is bold): `runtime.threads=1` is the thing to type, and `tune=speed` tries it. (Most likely that is the slow "
        "state of nn.LSTM's threads, as above: in the other one, where both were measured, all cores win.)\n\n"
    )


def _alone(cell: Figures) -> float:
    """Speed of nn.LSTM on one core, of its speed on all; 0 where it was not measured."""
    return float(cell["ms"][VENDOR] / cell["ms"][ONE_CORE]) if ONE_CORE in cell["ms"] else 0.0


def _is_best_alone(cell: Figures) -> bool:
    fastest = max(float(speed["median"]) for speed in cell["speed_of_vendor"].values())
    return fastest < AS_FAST * _alone(cell)


def _auto(auto: Figures) -> str:
    return (
        f"`auto` takes a strategy that reaches at least 0.95 of the best one's speed in {auto['share_right']:.0%} of "
        f"{auto['cells']} cells (asked: {auto['asked']:.0%}); {auto['worst']:.2f} in the worst."
    )


def _cells(cells: list[Figures]) -> str:
    names = sorted({name for cell in cells for name in cell["speed_of_vendor"]})
    one_core = any(ONE_CORE in cell["ms"] for cell in cells)
    rows = []
    for cell in cells:
        speeds = cell["speed_of_vendor"]
        medians = [speeds[name]["median"] if name in speeds else 0.0 for name in names]
        shown = [span(speeds[name], 2) if name in speeds else "-" for name in names]
        enough = AS_FAST * max(*medians, _alone(cell))
        shown = [_bold(text, median >= enough) for text, median in zip(shown, medians, strict=True)]
        alone = [_bold(f"{_alone(cell):.2f}", _alone(cell) >= enough)] if one_core else []
        rows.append(
            [
                cell["kind"],
                cell["mode"],
                *(str(cell[key]) for key in ("layers", "hidden", "batch", "steps")),
                f"{cell['ms'][VENDOR]:.2f}",
                *alone,
                *shown,
                f"{cell['auto']} {cell['auto_speed_of_best']['median']:.2f}",
            ]
        )
    head = ["type", "mode", "L", "H", "B", "T", "nn.LSTM, ms", *(["one core"] if one_core else []), *names]
    return table([*head, "auto, of the best"], rows)


def _bold(text: str, fast: bool) -> str:
    return f"**{text}**" if fast else text


def _custom_cells(part: Figures) -> str:
    names = _keys(row["times_the_vendors"] for row in part["rows"])
    rows = [
        [
            row["variant"],
            row["kind"],
            row["mode"],
            f"L={row['layers']} H={row['hidden']} B={row['batch']} T={row['steps']}",
            *(span(row["times_the_vendors"][name], 2) if name in row["times_the_vendors"] else "-" for name in names),
        ]
        for row in part["rows"]
    ]
    text = (
        "### What a cell costs that no vendor computes\n\n"
        "Times the time of the plain cell on the vendor's kernel at that shape, whole models; asked: at most "
        f"{part['asked_at_most']:g} with wavefront and compile on a CPU.\n\n"
    )
    text += table(["cell", "type", "mode", "shape", *names], rows)
    if part["left_out"]:
        text += "\nLeft out: " + "; ".join(f"{name}: {why}" for name, why in part["left_out"].items()) + ".\n"
    return text


def _scaling(part: Figures, stem: str, images: Path) -> str:
    rows = []
    for row in part["rows"]:
        ratios = row["speed_of_one_core"]
        for count in row["threads"]:
            shown = [
                span(ratios[f"{name}, {count}"], 2) if f"{name}, {count}" in ratios else "-"
                for name in (VENDOR, "pipelined")
            ]
            rows.append([row["kind"], row["mode"], row["shape"], str(count), *shown])
    return (
        "### Threads\n\n"
        + picture(images, f"{stem}-scaling", "Speed over threads")
        + "Times as fast as torch.nn.LSTM on one core.\n\n"
        + table(["type", "mode", "shape", "threads", VENDOR, "pipelined"], rows)
    )


def _vendor(part: Figures) -> str:
    names = _keys(row["speed_of_vendor"] for row in part["rows"])
    rows = [
        [
            row["kind"],
            row["mode"],
            *(str(row[key]) for key in ("layers", "hidden", "batch", "steps")),
            f"{row['ms'][VENDOR]:.3f}",
            *(span(row["speed_of_vendor"][name], 2) if name in row["speed_of_vendor"] else "-" for name in names),
        ]
        for row in part["rows"]
    ]
    head = ["type", "mode", "L", "H", "B", "T", "one nn.LSTM, ms", *names]
    return f"### One call for all layers, or one a layer\n\nTimes as fast as one nn.LSTM.\n\n{table(head, rows)}"


def _keys(rows: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))
