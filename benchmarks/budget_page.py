"""`docs/budget.md` and its picture, made from `benchmarks/results/budget/`.

python benchmarks/budget_page.py
"""

import math
import statistics
import textwrap
from pathlib import Path
from typing import Any

from budget import GRID, KEPT, SEEN
from budget_fit import Choice, choices, grid, kept, whole_seconds
from matplotlib.figure import Figure
from page_parts import table

from lstm_lm.reports.figure import NORMAL, SMALL, describe, log_axis, panels, save
from lstm_lm.reports.palette import BLUE, BROWN, GREY, PURPLE, VERMILION
from lstm_lm.training.tuning.budget_options import seconds_of

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "budget.md"
PICTURE = ROOT / "docs" / "images" / "budget.png"
WORDS = {
    "shakespeare_100k": "the first 100,000 characters of tiny Shakespeare",
    "python_docs": "Python's language reference",
    "shakespeare": "tiny Shakespeare",
    "python_http": "Python's own http, source code",
}
COLORS = {"1 x 128": PURPLE, "1 x 256": BLUE, "2 x 256": BROWN, "2 x 512": VERMILION}
NEAR = 0.03
"""Nats per token."""

INTRODUCTION = """# One dial for time

`python train.py data=text data.path=my_novel.txt budget=10m` finds width, layers, dropout, learning rate and length by
itself: what ten minutes buy on this machine, for this text. A short text gets a small model, more dropout, and an end
before it is learnt by heart; a long one the largest model that its passes are worth. Keys that are set stay as set.
What was chosen, and why, stands on the terminal before the first step and in `summary.json`, whose `tuning.typed`
can be typed, and then be changed. How it chooses: [decision 35](decisions/0035-budget.md).

![Validation loss over wall time, a panel a text: the runs of the grid, and the rule's choice](images/budget.png)

**Is the choice good?** The rule's constants were fitted to {fitted} runs of {seen} texts; {unseen}, was not among them.
Of the runs that end within a time, the table compares the one that the rule takes with the best one: {near} of {all}
choices are within {nats} nats per token of it, the worst misses it by {worst:.3f}.

{choices}
**Does it end in time?** Whole processes, one after the other.

{whole}
A run ends well before its time where more passes would only learn the text by heart, as with the short text in ten
minutes; or where its steps take less than while sizes were timed, on a machine that other programs share: its length
was chosen then, and stays.

`python benchmarks/budget.py --shakespeare FILE`, one seed; {source}
"""


def page(folder: Path = KEPT) -> str:
    """The whole page."""
    figures = found(folder)
    made = [choice for name in figures for choice in choices(name, figures[name])]
    first = figures[SEEN[0]]
    machine, versions = first["machine"], first["versions"]
    last = sorted({(figures[name]["date"], figures[name]["git_commit"][:8]) for name in figures})
    return INTRODUCTION.format(
        fitted=sum(len(grid(figures[name])) for name in SEEN),
        seen=len(SEEN),
        unseen=" and ".join(WORDS[name] for name in figures if name not in SEEN),
        near=sum(choice.missed <= NEAR for choice in made),
        all=len(made),
        nats=NEAR,
        worst=max(choice.missed for choice in made),
        choices=table(["text", "time", "the rule takes", "the best", "nats more"], list(map(_row, made))),
        whole=table(
            ["text", "budget", "threads", "chosen", "val loss", "wall time", "of the budget"],
            [_whole(name, run) for name in figures for run in figures[name]["whole"]],
        ),
        source=f"{machine['cpu']}, {machine['cores']} cores; Python {versions['python']}, torch {versions['torch']}; "
        f"the last runs of a text are of {', '.join(f'{date}, commit {commit}' for date, commit in last)}.",
    )


def found(folder: Path) -> dict[str, dict[str, Any]]:
    return {name: kept(name, folder) for name in GRID if (folder / f"{name}.json").exists()}


def _row(choice: Choice) -> list[str]:
    return [WORDS[choice.text], choice.time, _run(choice.taken), _run(choice.best), f"{choice.missed:.3f}"]


def _run(run: dict[str, Any]) -> str:
    return "{layers} x {width}, {passes:g} passes, dropout {dropout:g}: {loss:.3f}".format(**run)


def _whole(name: str, run: dict[str, Any]) -> list[str]:
    share = run["seconds"] / seconds_of(run["budget"])
    typed = dict(word.split("=", 1) for word in run["typed"].split())
    keys = {"num_layers": "model.num_layers", "hidden_size": "model.hidden_size", "dropout": "model.dropout"}
    layers, width, dropout = (typed[key] for key in keys.values())
    chosen = f"{layers} x {width}, dropout {float(dropout):g}, {run['steps']:,} steps"
    wall = f"{run['seconds']:.0f} s"
    return [WORDS[name], run["budget"], str(run["threads"]), chosen, f"{run['loss']:.3f}", wall, f"{share:.0%}"]


def draw(folder: Path = KEPT) -> Figure:
    """A panel a text."""
    figures = found(folder)
    figure, places = panels(math.ceil(len(figures) / 2), 2, height=6.6)
    for axes, (name, of_text) in zip(places, figures.items(), strict=False):
        for label, color in COLORS.items():
            runs = [run for run in grid(of_text) if f"{run['layers']} x {run['width']}" == label]
            for dropped, marker in ((False, "o"), (True, "^")):
                some = [run for run in runs if (run["dropout"] > 0) is dropped]
                said = f"{label}, with dropout" if dropped else label
                axes.plot(*_points(some, of_text["times"]), marker, color=color, markersize=6, label=said)
        taken = [choice.taken for choice in choices(name, of_text)]
        ring: dict[str, Any] = {"color": GREY, "fillstyle": "none", "markersize": 13, "label": "taken by the rule"}
        axes.plot(*_points(taken, of_text["times"]), "o", **ring)
        losses = [run["loss"] for run in grid(of_text)]
        axes.set_ylim(min(losses) - 0.03, statistics.median(losses) + 0.3)
        log_axis(axes, "x", ticks=[5, 10, 30, 100, 300])
        left = axes in places[::2]
        describe(axes, title=textwrap.fill(WORDS[name], 30), y="validation loss, nats" if left else "")
    for axes in places[len(figures) - 2 :]:
        axes.set_xlabel("seconds of the whole run", fontsize=NORMAL, color=GREY)
    handles, labels = places[0].get_legend_handles_labels()
    how: dict[str, Any] = {"frameon": False, "fontsize": SMALL, "labelcolor": GREY}
    figure.legend(handles, labels, loc="outside lower center", ncols=3, **how)
    return figure


def _points(runs: list[dict[str, Any]], times: dict[str, Any]) -> tuple[list[float], list[float]]:
    return [whole_seconds(run, times) for run in runs], [run["loss"] for run in runs]


def main() -> None:
    save(draw(), PICTURE)
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
