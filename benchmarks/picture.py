"""The README's picture: the loss of one run, from its metrics.csv.

python benchmarks/picture.py RUN [--out docs/images/loss.png] [--title TEXT]
"""

import argparse
from pathlib import Path

from matplotlib.figure import Figure

from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.metrics_file import read

TRAIN, VAL = "#9db4c8", "#c0392b"


def draw(run: RunDirectory, title: str) -> Figure:
    """Training loss at each logged step, validation loss at each validation."""
    rows = read(run.metrics)
    figure = Figure(figsize=(7.5, 3.4), dpi=130, layout="constrained")
    axes = figure.subplots()
    for column, label, color, marker in (("train/loss", "training", TRAIN, ""), ("val/loss", "validation", VAL, "o")):
        points = [(row["step"], row[column]) for row in rows if row.get(column) is not None]
        axes.plot(*zip(*points, strict=True), color=color, marker=marker, label=label, linewidth=1.8)
        if column == "val/loss":
            axes.annotate(f"{points[-1][1]:.2f}", points[-1], (6, -3), textcoords="offset points", color=color)
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("loss, nats per character")
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.legend(frameon=False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/images/loss.png"))
    parser.add_argument("--title", default="")
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    draw(RunDirectory(arguments.run), arguments.title).savefig(arguments.out)


if __name__ == "__main__":
    main()
