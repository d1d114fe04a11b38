"""The part of docs/benchmarks.md that is about ways to run a stack: one chapter for each machine that was measured."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from page_parts import asked_and_measured, picture, section, span, table

VENDOR, ONE_CORE = "nn.LSTM", "nn.LSTM, one core"
Figures = dict[str, Any]


def sections(files: dict[str, Figures], images: Path) -> list[str]:
    """A chapter a file."""
    return [_chapter(stem, figures, images) for stem, figures in files.items()]


def _chapter(stem: str, figures: Figures, images: Path) -> str:
    parts: dict[str, Callable[[Figures], str]] = {
        "figures": _figures,
        "grid": lambda part: _grid(part, stem, images),
        "held_out": _held_out,
        "custom_cells": _custom_cells,
        "scaling": lambda part: _scaling(part, stem, images),
        "vendor": _vendor,
    }
    body = "\n".join(make(figures[name]) for name, make in parts.items() if name in figures)
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
    text += "Times as fast as torch.nn.LSTM on all cores; the fastest strategy is bold.\n\n" + _cells(part["cells"])
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


def _held_out(part: Figures) -> str:
    return (
        "### Shapes on which auto's rule was not made\n\n"
        f"A random sample, drawn once. {_auto(part['auto'])}\n\n{_cells(part['cells'])}"
    )


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
        shown = ["-" if name not in speeds else f"{speeds[name]['median']:.2f}" for name in names]
        shown = [f"**{text}**" if name == cell["best"] else text for name, text in zip(names, shown, strict=True)]
        alone = [f"{cell['ms'][VENDOR] / cell['ms'][ONE_CORE]:.2f}"] if one_core else []
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
