"""The pictures of docs/benchmarks.md, drawn from the figures in `benchmarks/results/`.

python benchmarks/plots.py

On white, whatever the page's theme is: readable on a dark page too.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
IMAGES = ROOT / "docs" / "images"
COLORS = {"fused": "#4878a8", "pipelined": "#c0392b", "wavefront": "#3a8f5a", "stepwise": "#8a8a8a"}
OTHER = "#7d5ba6"
VENDOR = "nn.LSTM"
DPI = 110


def draw_all(results: Path = RESULTS, images: Path = IMAGES) -> list[Path]:
    """Every picture whose figures are there; gives their paths."""
    images.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for path in sorted(results.glob("*.json")):
        for name, figure in pictures(path.stem, json.loads(path.read_text(encoding="utf-8"))):
            figure.savefig(images / f"{name}.png", dpi=DPI, facecolor="white", metadata={"Software": None})
            written.append(images / f"{name}.png")
    return written


def pictures(stem: str, figures: dict[str, Any]) -> Iterator[tuple[str, Figure]]:
    """The names and pictures of one file of figures."""
    if figures["benchmark"] == "forward":
        for mode in ("inference", "training"):
            cells = [cell for cell in figures.get("grid", {"cells": []})["cells"] if cell["mode"] == mode]
            cells = [cell for cell in cells if cell["kind"] == "float32"]
            if cells:
                yield f"{stem}-{mode}", grid(cells, f"{mode}, float32: times as fast as nn.LSTM on all cores")
        if "scaling" in figures:
            yield f"{stem}-scaling", scaling(figures["scaling"]["rows"])
    elif figures["benchmark"] == "training":
        yield stem, training(figures["shapes"])
    elif figures["benchmark"] == "timeline":
        yield "pipeline", pipeline(figures)
    elif figures["benchmark"] == "wall_time":
        yield stem, wall_time(figures)


def grid(cells: list[dict[str, Any]], title: str) -> Figure:
    """A panel for each L and H, for the window length that most cells have: speed over B."""
    steps = [cell["steps"] for cell in cells]
    cells = [cell for cell in cells if cell["steps"] == max(steps, key=steps.count)]
    layers, widths = sorted({cell["layers"] for cell in cells}), sorted({cell["hidden"] for cell in cells})
    figure = Figure(figsize=(2.3 * len(layers) + 0.6, 1.9 * len(widths) + 0.9), layout="constrained")
    panels = figure.subplots(len(widths), len(layers), sharex=True, sharey=True, squeeze=False)
    for row, width in enumerate(widths):
        for column, depth in enumerate(layers):
            axes = panels[row][column]
            own = sorted(
                (cell for cell in cells if (cell["layers"], cell["hidden"]) == (depth, width)),
                key=lambda cell: int(cell["batch"]),
            )
            for name in _strategies(own):
                points = [(cell["batch"], cell["speed_of_vendor"].get(name)) for cell in own]
                _line(axes, [(x, y) for x, y in points if y is not None], name)
            axes.axhline(1.0, color="black", linewidth=0.8)
            axes.set_title(f"L={depth} H={width}", fontsize=9, loc="left")
            axes.set_xscale("log", base=2)
            axes.set_yscale("log", base=2)
            batches = sorted({cell["batch"] for cell in own})
            axes.set_xticks(batches, [str(batch) for batch in batches])
            axes.yaxis.set_major_formatter("{x:g}")
            if row == len(widths) - 1:
                axes.set_xlabel("B")
    figure.suptitle(title, fontsize=10)
    handles, labels = panels[0][-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=max(1, len(labels)), frameon=False, fontsize=9)
    return figure


def _strategies(cells: Iterable[dict[str, Any]]) -> list[str]:
    return sorted({name for cell in cells for name in cell["speed_of_vendor"]})


def _line(axes: Axes, points: list[tuple[int, dict[str, float]]], name: str) -> None:
    """Medians, and from the lowest to the highest a shade."""
    x = [place for place, _ in points]
    color = COLORS.get(name, OTHER)
    axes.plot(x, [ratio["median"] for _, ratio in points], color=color, marker="o", markersize=3, label=name)
    lowest, highest = ([ratio[key] for _, ratio in points] for key in ("lowest", "highest"))
    axes.fill_between(x, lowest, highest, color=color, alpha=0.15, linewidth=0)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def scaling(rows: list[dict[str, Any]]) -> Figure:
    """Speed over threads."""
    figure = Figure(figsize=(3.2 * len(rows), 2.9), layout="constrained")
    panels = figure.subplots(1, len(rows), sharey=True, squeeze=False)[0]
    for axes, row in zip(panels, rows, strict=True):
        for name in (VENDOR, "pipelined"):
            ratios = row["speed_of_one_core"]
            points = [(count, ratios[f"{name}, {count}"]) for count in row["threads"] if f"{name}, {count}" in ratios]
            if points:
                _line(axes, points, name)
        axes.plot(row["threads"], row["threads"], color="black", linewidth=0.8, linestyle=":", label="ideal")
        axes.set_title(f"{row['mode']}, {row['kind']}", fontsize=9, loc="left")
        axes.set_xticks(row["threads"])
        axes.set_xlabel("threads")
    panels[0].set_ylabel("times as fast as\nnn.LSTM on one core")
    panels[0].legend(frameon=False, fontsize=8)
    return figure


def training(shapes: dict[str, Any]) -> Figure:
    """Speed of today's loop, a group of bars for each shape."""
    names = sorted({name for result in shapes.values() for name in result["speed_of_today"]})
    figure = Figure(figsize=(7.5, 0.9 + 0.2 * (len(names) + 1.2) * len(shapes)), layout="constrained")
    axes = figure.subplots()
    colors = [COLORS["fused"], "#9db4c8", COLORS["pipelined"], COLORS["wavefront"], OTHER, "#8a8a8a"]
    for group, result in enumerate(shapes.values()):
        for number, name in enumerate(names):
            ratio = result["speed_of_today"].get(name)
            if ratio is None:
                continue
            place = group * (len(names) + 1.2) + number
            whiskers = [[ratio["median"] - ratio["lowest"]], [ratio["highest"] - ratio["median"]]]
            axes.barh(
                place,
                ratio["median"],
                xerr=whiskers,
                color=colors[number % len(colors)],
                label=name if group == 0 else None,
                error_kw={"linewidth": 0.8},
            )
    axes.set_yticks([group * (len(names) + 1.2) + (len(names) - 1) / 2 for group in range(len(shapes))], list(shapes))
    axes.invert_yaxis()
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xlabel("times as fast as today's loop")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=len(names), frameon=False, fontsize=8)
    return figure


def pipeline(figures: dict[str, Any]) -> Figure:
    """A row a thread: forward and backward cells, as they ran."""
    cells = [dict(zip(figures["columns"], cell, strict=True)) for cell in figures["cells"]]
    threads = sorted({cell["thread"] for cell in cells})
    figure = Figure(figsize=(11, 0.9 + 0.75 * len(threads)), layout="constrained")
    axes = figure.subplots()
    end = max(cell["start_ms"] + cell["ms"] for cell in cells)
    for direction, color in (("forward", COLORS["fused"]), ("backward", COLORS["pipelined"])):
        own = [cell for cell in cells if cell["direction"] == direction]
        axes.barh(
            [cell["thread"] for cell in own],
            [cell["ms"] for cell in own],
            left=[cell["start_ms"] for cell in own],
            color=color,
            edgecolor="white",
            linewidth=0.8,
            height=0.8,
            label=direction,
        )
        for cell in own:
            if cell["ms"] > 0.012 * end:
                middle = cell["start_ms"] + cell["ms"] / 2
                label = f"{cell['layer']},{cell['chunk']}"
                axes.text(
                    middle, cell["thread"], label, color="white", fontsize=7, ha="center", va="center", rotation=90
                )
    settings = figures["settings"]
    axes.set_title(
        f"one training step, {settings['shape']}, {settings['workers']} workers: cells (layer, chunk)",
        fontsize=10,
        loc="left",
    )
    axes.set_yticks(threads, [f"thread {thread}" for thread in threads])
    axes.set_xlabel("ms")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=2, loc="upper right", bbox_to_anchor=(1.0, 1.18), fontsize=9)
    return figure


RACERS = {
    "nanoGPT": ("nanoGPT, its settings for a CPU", OTHER),
    "today": ("nn.LSTM and Adam in a plain loop", "#8a8a8a"),
    "ours": ("lstm-lm, experiment=shakespeare_quick", COLORS["pipelined"]),
}


def wall_time(figures: dict[str, Any]) -> Figure:
    """Validation loss over the seconds of a whole process: of each contender the round of middle length."""
    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, (label, color) in RACERS.items():
        rounds = sorted(figures["curves"][name], key=lambda points: float(points[-1][0]))
        points = [point for point in rounds[len(rounds) // 2] if point[1] < HIGHEST_LOSS]
        axes.plot(*zip(*points, strict=True), color=color, label=label, linewidth=1.8, marker="o", markersize=3)
        seconds, loss = points[-1]
        axes.annotate(
            f"{loss:.2f} in {seconds:.0f} s", (seconds, loss), (4, 6), textcoords="offset points", color=color
        )
    restricted = ", restricted to AVX2" if "told" in figures["machine"]["instructions"] else ""
    axes.set_xlabel(f"seconds since the command was typed; {figures['machine']['cores']} CPU cores{restricted}")
    axes.set_ylabel("validation loss, nats per character")
    axes.set_xlim(left=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.legend(frameon=False, fontsize=9)
    return figure


HIGHEST_LOSS = 2.6


def main() -> None:
    for path in draw_all():
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
