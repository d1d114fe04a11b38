"""The pictures of docs/benchmarks.md, drawn from the figures in `benchmarks/results/`.

python benchmarks/plots.py
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kinds import AVX2, kind_of, there
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lstm_lm.reports.direct_labels import label_lines
from lstm_lm.reports.figure import describe, line, log_axis, names_from_the_top, panels, reference, save, write
from lstm_lm.reports.palette import BLUE, GREEN, GREY, PURPLE, VERMILION, Ink

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
IMAGES = ROOT / "docs" / "images"
INKS = {"fused": BLUE, "pipelined": VERMILION, "wavefront": GREEN, "stepwise": PURPLE}
Figures = dict[str, Any]
Spread = dict[str, float]


def draw_all(results: Path = RESULTS, images: Path = IMAGES) -> list[Path]:
    """Every picture whose figures are there; gives their paths."""
    images.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name, figure in pictures(results):
        save(figure, images / f"{name}.png")
        written.append(images / f"{name}.png")
    return written


def pictures(results: Path) -> Iterator[tuple[str, Figure]]:
    """Their names, and they themselves."""
    if found := there(results, "training"):
        yield "training", training(found)
    if found := {kind: figures for kind, figures in there(results, "forward").items() if "grid" in figures}:
        yield "forward", forward(found)
    for kind, figures in there(results, "forward").items():
        if kind == "" and "figures" in figures:
            yield "pipelined", pipelined(figures["figures"]["figures"])
    for figures in there(results, "timeline").values():
        yield "pipeline", pipeline(figures)
    for kind, figures in there(results, "wall_time").items():
        yield f"wall_time{kind}", wall_time(figures)


SHAPES = {
    "small": "1 x 128, batch 16",
    "default": "2 x 160, batch 32, the default",
    "deep": "8 x 128, batch 16",
    "": "2 x 256, batch 64",
}
"""By the first word of a shape's label."""
CONTENDERS = {"application": ("python train.py", BLUE), "ours, float32": ("its step in float32", GREY)}


def shape_name(label: str) -> str:
    """Layers x units and batch, in words."""
    known, colon, _ = label.partition(":")
    return SHAPES.get(known if colon else "", label)


def training(files: dict[str, Figures]) -> Figure:
    """`python train.py` against the loop that people write: a panel a machine, a row a shape."""
    names = list(dict.fromkeys(shape for figures in files.values() for shape in figures["shapes"]))
    figure, places = panels(1, len(files), height=1.3 + 0.5 * len(names), share_x=True, share_y=True)
    for axes, figures in zip(places, files.values(), strict=True):
        for place, shape in enumerate(names):
            speeds = figures["shapes"].get(shape, {"speed_of_today": {}})["speed_of_today"]
            if not speeds:
                write(axes, " not measured", (1.0, place), va="center")
            for number, (contender, (name, color)) in enumerate(CONTENDERS.items()):
                if contender in speeds:
                    named = f"  {name}" if axes is places[0] and place == 0 else ""
                    _row(axes, place + 0.3 * number - 0.1, speeds[contender], color, named, before=number == 0)
        names_from_the_top(axes, [shape_name(name) for name in names])
        axes.set_ylim(len(names) - 0.4, -0.8)
        reference(axes, 1.0, along="x")
        describe(axes, title=kind_of(figures), x="times as fast as nn.LSTM")
    return figure


def _row(axes: Axes, place: float, ratio: Spread, color: str, name: str = "", *, before: bool = False) -> None:
    """The median, from the lowest to the highest, and the median in figures; a name after that, or before all."""
    axes.plot([ratio["lowest"], ratio["highest"]], [place, place], color=color, linewidth=1.8)
    axes.plot([ratio["median"]], [place], color=color, marker="o", markersize=6)
    beside = {"xytext": (6, 0), "textcoords": "offset points", "va": "center"}
    write(axes, f"{ratio['median']:.2f}{'' if before else name}", (ratio["highest"], place), color=color, **beside)
    if before:
        write(axes, name, (ratio["lowest"], place), color=color, **{**beside, "xytext": (-6, 0), "ha": "right"})


def forward(files: dict[str, Figures], *, hidden: int = 128, batch: int = 16) -> Figure:
    """Speed of each strategy over the number of layers, in training with float32: a panel a machine."""
    figure, places = panels(1, len(files), share_y=True)
    for axes, figures in zip(places, files.values(), strict=True):
        cells = [cell for cell in figures["grid"]["cells"] if (cell["kind"], cell["mode"]) == ("float32", "training")]
        own = [cell for cell in cells if (cell["hidden"], cell["batch"]) == (hidden, batch)] or cells
        steps = [cell["steps"] for cell in own]
        own = [cell for cell in own if cell["steps"] == max(steps, key=steps.count)]
        own.sort(key=lambda cell: int(cell["layers"]))
        for name, color in INKS.items():
            points = [(cell["layers"], cell["speed_of_vendor"].get(name)) for cell in own]
            _spread_line(axes, [(x, ratio) for x, ratio in points if ratio is not None], color, name)
        log_axis(axes, "x", base=2, ticks=sorted({cell["layers"] for cell in own}))
        log_axis(axes, "y", ticks=[0.1, 0.2, 0.5, 1.0])
        reference(axes, 1.0)
        word = "times as fast as nn.LSTM\non all cores" if axes is places[0] else ""
        describe(axes, title=kind_of(figures), x=f"layers of {hidden} units", y=word)
    for axes in places:
        label_lines(axes)
    return figure


def _spread_line(axes: Axes, points: Iterable[tuple[int, Spread]], color: str, label: str) -> None:
    found = list(points)
    medians, lowest, highest = ([ratio[key] for _, ratio in found] for key in ("median", "lowest", "highest"))
    line(axes, [x for x, _ in found], medians, Ink(color, "solid"), label=label, low=lowest, high=highest)


def pipelined(rows: list[Figures]) -> Figure:
    """`pipelined` against nn.LSTM for deep stacks and few streams, a row a shape."""
    found = [row for row in rows if row["what"] == "pipelined, L >= 8 and B <= 8" and row["kind"] == "float32"]
    shapes = sorted({row["shape"] for row in found}, key=lambda shape: [-number for number in numbers(shape)])[::-1]
    figure, places = panels(1, 2, height=1.2 + 0.36 * len(shapes), share_x=True, share_y=True)
    for axes, mode in zip(places, ("training", "inference"), strict=True):
        for row in found:
            if row["mode"] == mode:
                _row(axes, shapes.index(row["shape"]), row["measured"], VERMILION)
        names_from_the_top(axes, ["{} x {}, batch {}".format(*numbers(shape)) for shape in shapes])
        reference(axes, 1.0, along="x")
        describe(axes, title=mode, x="times as fast as nn.LSTM")
    return figure


def numbers(shape: str) -> list[int]:
    """`L=8 H=128 B=4 T=128`: 8, 128, 4, 128."""
    return [int(part.partition("=")[2]) for part in shape.split()]


def pipeline(figures: Figures) -> Figure:
    """A row a thread: forward and backward cells, as they ran."""
    cells = [dict(zip(figures["columns"], cell, strict=True)) for cell in figures["cells"]]
    threads = sorted({cell["thread"] for cell in cells})
    figure, (axes,) = panels(height=1.3 + 0.6 * len(threads))
    end = max(cell["start_ms"] + cell["ms"] for cell in cells)
    for direction, color in (("forward", BLUE), ("backward", VERMILION)):
        own = [cell for cell in cells if cell["direction"] == direction]
        for shade in (0, 1):  # neighbouring layers can be told apart
            some = [cell for cell in own if cell["layer"] % 2 == shade]
            axes.barh(
                [threads.index(cell["thread"]) for cell in some],
                [cell["ms"] for cell in some],
                left=[cell["start_ms"] for cell in some],
                color=color,
                alpha=0.6 + 0.4 * shade,
                height=0.7,
            )
        begin = min(cell["start_ms"] for cell in own)
        write(axes, f"{direction}: a box is a chunk of a layer", (begin, -0.42), color=color, va="bottom")
    names_from_the_top(axes, [f"thread {thread}" for thread in threads])
    axes.grid(visible=False)
    axes.set_xlim(0, end)
    axes.set_ylim(top=-0.75)
    settings = figures["settings"]
    layers, hidden, batch, steps = numbers(settings["shape"])
    title = f"one training step, {layers} layers of {hidden}, batch {batch}, windows of {steps}"
    describe(axes, title=title, x="milliseconds")
    return figure


HIGHEST_LOSS = 2.6
RACERS = {
    "nanoGPT": ("nanoGPT, its CPU settings", PURPLE, {"xytext": (8, 0), "va": "center"}),
    "today": ("nn.LSTM, Adam", GREY, {"xytext": (0, 3), "ha": "right", "va": "bottom"}),
    "ours": ("lstm-lm", BLUE, {"xytext": (8, -4), "va": "center"}),
}


def wall_time(figures: Figures) -> Figure:
    """Validation loss over the seconds of a whole process: of each contender the round of middle length."""
    figure, (axes,) = panels(height=3.8)
    for name, (label, color, beside) in RACERS.items():
        rounds = sorted(figures["curves"][name], key=lambda points: float(points[-1][0]))
        points = [point for point in rounds[len(rounds) // 2] if point[1] < HIGHEST_LOSS]
        line(axes, [x for x, _ in points], [y for _, y in points], Ink(color, "solid"))
        seconds, loss = points[-1]
        said = f"{label}: {loss:.2f} in {seconds:.0f} s"
        write(axes, said, (seconds, loss), textcoords="offset points", color=color, **beside)
    axes.set_xlim(left=0)
    where = f"{figures['machine']['cores']} CPU cores{', ' + AVX2 if AVX2 in kind_of(figures) else ''}"
    describe(axes, x=f"seconds since the command was typed; {where}", y="validation loss, nats per character")
    return figure


def main() -> None:
    for path in draw_all():
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
