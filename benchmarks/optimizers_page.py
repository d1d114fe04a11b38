"""`docs/optimizers.md` and its picture, made from `benchmarks/results/optimizers/`.

python benchmarks/optimizers_page.py
"""

import json
import math
import statistics
from itertools import pairwise
from pathlib import Path
from textwrap import fill
from typing import Any

from matplotlib.figure import Figure
from optimizers import BY_GATES, COMPARED, DAMPED, KEPT, LENGTHS, OPTIMIZERS, SEEDS, SETTINGS, SLOW, chosen, of_choice
from optimizers import OTHERS as OPTIONS
from page_parts import table

import lstm_lm
from lstm_lm.reports.direct_labels import label_lines
from lstm_lm.reports.figure import describe, line, panels, save
from lstm_lm.reports.palette import BLUE, BROWN, GREEN, GREY, VERMILION, Ink

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "optimizers.md"
PICTURE = ROOT / "docs" / "images" / "optimizers.png"
COLORS = {"adamw": BLUE, "muon": VERMILION, "muon by gates": BROWN, "sgd": GREY, "rmsprop": GREEN}
SHOWN = 0.5
"""Nats above the lowest loss: what a panel shows."""
WORDS = {
    "chars": "characters, LSTM 1 x 256, tiny Shakespeare",
    "chars_512": "characters, LSTM 2 x 512 with dropout, tiny Shakespeare",
    "bpe": "byte pairs, LSTM 2 x 256, tiny Shakespeare",
    "words": "words, LSTM 1 x 256, tiny Shakespeare",
    "gru": "characters, GRU 2 x 256, tiny Shakespeare",
    "python_docs": "characters, LSTM 1 x 256, Python's language reference",
    "python_source": "characters, LSTM 1 x 256, Python's own asyncio, source code",
}
KINDS = ("as it is", "as AVX2")
IN_WORDS = {
    "": "",
    SLOW: "",
    DAMPED: " with damping 3",
    **dict(zip(OPTIONS, (" with 0.95", " with decay 0.01"), strict=True)),
}

INTRODUCTION = """# Optimizers

Runs train with `{default}` unless they say otherwise. To AdamW's final loss Muon took {steps} times fewer steps in
the median of these settings, from {lowest} to {highest}. With what its step costs, that is {seconds} times fewer
seconds as the processor is (from {least}), and {avx2} times restricted to AVX2 (from {avx2_least}). It makes the
singular values of each step more alike, for the matrices between embedding and output projection; all else takes
AdamW's steps ([the file](../src/lstm_lm/training/muon.py), [why so](decisions/0033-muon.md)).
{worse}
![Validation loss over optimizer steps, a panel a setting](images/optimizers.png)

AdamW and Muon were searched alike, in each setting but one. With the first seed: three learning rates, a factor of 2
apart, and the next beyond while the best is at an edge, with averages of 0.9 and 0.99 and weight decay 0.1; at the
best rate, 0.95 for the second average, and decay 0.01. Then two seeds more of the two best, of which the one with the
lower median counts. Schedule, initial weights and windows are the same. Losses are the median, lowest and highest of
{seeds} seeds, at the end of one cycle, nats per token of the validation split. Of 2 x 512, where a run takes over
five minutes of one core, there is one seed, and Muon was tried with damping, too.

*Fewer steps* says how many times as many AdamW takes to its own final loss as Muon does with a schedule of that length,
interpolated between runs of 1/2, 3/4 and the whole length, and where half the length suffices, a bound. *Fewer seconds*
divides that by how much longer a step takes, timed turn by turn, on this processor and restricted to AVX2; the losses
are of the first, whose layers are computed in bfloat16, but for those marked float32, of a processor that has no more
than AVX2. Muon's momentum and iterations were chosen on the first row's setting, which therefore flatters it.

`python benchmarks/optimizers.py --text FILE`; {source}
"""
OTHERS = """The other optimizers, at the same lengths: rate and loss, of the first seed alone, beside the least that
AdamW and Muon reach with that seed. SGD clips at 0.25, as word-level papers do; RMSprop's average is 0.95, as
char-rnn's.
"""

COST = """
What Muon adds to a whole training step, of which it is that share: median, lowest and highest of {rounds} rounds, turn
by turn with AdamW, on {threads} of a machine shared with other programs (`--stage costs`).
"""


class Kept:
    """What was found of one setting."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.figures: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        self.runs: list[dict[str, Any]] = self.figures["runs"]

    def of(self, optimizer: str, length: float = 1) -> list[dict[str, Any]]:
        """All seeds of what was chosen."""
        if not any(run["optimizer"] == optimizer for run in self.runs):
            return []
        return of_choice(self.runs, optimizer, chosen(self.runs, optimizer), length)

    def least(self, optimizer: str, options: str | None = None) -> float:
        """With the first seed, of the whole length; with these options, or with any."""
        tried = [run for run in self.runs if run["seed"] == SEEDS[0] and run["length"] == 1 and run["loss"] is not None]
        right = [run for run in tried if run["optimizer"] == optimizer and options in (None, run["options"])]
        return float(min(run["loss"] for run in right))

    def loss(self, optimizer: str, length: float = 1) -> float:
        return float(statistics.median(run["loss"] for run in self.of(optimizer, length)))

    def steps_ratio(self) -> tuple[str, float]:
        """AdamW's steps over Muon's to AdamW's final loss; `>` or `<` where that is a bound."""
        lengths = [length for length in (*LENGTHS, 1) if self.of("muon", length)]
        return ratio_at(self.loss("adamw"), [(length, self.loss("muon", length)) for length in lengths])

    def time_ratio(self, kind: str) -> float | None:
        """Muon's time for a step over AdamW's: the median of the rounds."""
        times = self.figures["times"].get(kind)
        if times is None:
            return None
        return float(statistics.median(muon / adamw for muon, adamw in zip(times["muon"], times["adamw"], strict=True)))


def ratio_at(goal: float, reached: list[tuple[float, float]]) -> tuple[str, float]:
    """1 / the length at which the loss is `goal`, linear in the logarithm of length between the runs that there are."""
    if reached[0][1] <= goal:
        return ">", 1 / reached[0][0]
    for (short, above), (long, below) in pairwise(reached):
        if below <= goal:
            share = (above - goal) / (above - below)
            return "", 1 / math.exp(math.log(short) + share * (math.log(long) - math.log(short)))
    return "<", 1 / reached[-1][0]


def settings(folder: Path) -> list[Kept]:
    return [Kept(name, folder) for name in SETTINGS if (folder / f"{name}.json").exists()]


def page(folder: Path = KEPT) -> str:
    """The whole page."""
    kept = settings(folder)
    compared = [one for one in kept if one.of("muon") and one.of("adamw")]
    ratios = {one.name: one.steps_ratio() for one in compared}
    steps = sorted(ratio for _, ratio in ratios.values())
    seconds, avx2 = (
        sorted(ratios[one.name][1] / time for one in compared if (time := one.time_ratio(kind)) is not None)
        for kind in KINDS
    )
    figures = kept[0].figures
    machine, versions = figures["machine"], figures["versions"]
    commits = sorted({run["git_commit"][:8] for one in kept for run in one.runs})
    introduction = INTRODUCTION.format(
        default=f"optimizer={lstm_lm.compose()['optimizer']['name']}",
        steps=f"{statistics.median(steps):.2f}",
        lowest=f"{'less than ' * any(bound == '<' for bound, _ in ratios.values())}{steps[0]:.2f}",
        highest=f"{steps[-1]:.2f}",
        seconds=f"{statistics.median(seconds):.2f}",
        least=f"{seconds[0]:.2f}",
        avx2=f"{statistics.median(avx2):.2f}",
        avx2_least=f"{avx2[0]:.2f}",
        worse="".join(_worse(one) for one in compared if ratios[one.name][0] == "<"),
        seeds=len(SEEDS),
        source=f"{machine['cpu']}, {machine['cores']} cores; Python {versions['python']}, torch {versions['torch']}; "
        f"{figures['date']}; runs of commit {', '.join(commits)}, times of {figures['git_commit'][:8]}.",
    )
    first = table(
        [
            *("setting", "steps", "AdamW: rate, loss", "Muon: rate, loss", "fewer steps"),
            *map("fewer seconds, {}".format, KINDS),
        ],
        [_compared(one, ratios[one.name]) for one in compared],
    )
    others = [name for name in OPTIMIZERS if name not in COMPARED]
    second = table(
        ["setting", *COMPARED, *others],
        [
            [WORDS[one.name], *(f"{one.least(name):.3f}" for name in COMPARED), *(_loss(one, name) for name in others)]
            for one in kept
        ],
    )
    return f"{introduction}\n{first}\n{OTHERS}\n{second}{_costs(folder)}"


def _worse(one: Kept) -> str:
    ends = (one.least("muon", SLOW), one.least("muon", DAMPED), one.least(BY_GATES, DAMPED), one.loss("adamw"))
    assert min(ends) == ends[2], "what the next sentences say"
    where = WORDS[one.name].removeprefix("characters, ")
    said = (
        f"**Not always as it is.** With {where}, Muon ends at {ends[0]:.3f}, with `optimizer.damping=3` at "
        f"{ends[1]:.3f}, and with `optimizer.blocks=4`, too, which takes each gate by itself, at {ends[2]:.3f}; AdamW "
        f"at {ends[3]:.3f} ([when else, as far as is known](decisions/0033-muon.md))."
    )
    return f"\n{fill(said, 120)}\n"


def _costs(folder: Path) -> str:
    found = json.loads((folder / "costs.json").read_text(encoding="utf-8"))
    shapes = found["shapes"]
    threads = {each["threads"] for kinds in shapes.values() for each in kinds.values()}
    columns = [(kind, name) for kind in KINDS for name in ("muon", BY_GATES)]
    share = "{median:.0%} ({lowest:.0%}-{highest:.0%})"
    rows = [
        [shape, *(share.format(**kinds[kind]["share"][name]) for kind, name in columns)]
        for shape, kinds in shapes.items()
    ]
    on = " or ".join("1 thread" if count == 1 else f"{count} threads" for count in sorted(threads))
    introduction = COST.format(rounds=found["settings"]["rounds"], threads=on)
    return f"{introduction}\n{table(['shape', *(f'{name}, {kind}' for kind, name in columns)], rows)}"


def _compared(one: Kept, ratio: tuple[str, float]) -> list[str]:
    bound, steps = ratio
    seconds = [
        "-" if (time := one.time_ratio(kind)) is None else f"{bound} {steps / time:.2f}".strip() for kind in KINDS
    ]
    many = f"{max(run['steps'] for run in one.of('adamw')):,}"
    return [WORDS[one.name], many, _loss(one, "adamw"), _loss(one, "muon"), f"{bound} {steps:.2f}".strip(), *seconds]


def _loss(one: Kept, optimizer: str) -> str:
    runs = one.of(optimizer)
    if not runs:
        return "-"
    losses = [run["loss"] for run in runs]
    spread = f" ({min(losses):.3f}-{max(losses):.3f})" if len(losses) > 1 else ""
    kind = ", float32" if runs[0]["precision"] == "32-true" else ""
    return f"{runs[0]['lr']:g}{IN_WORDS[runs[0]['options']]}, {statistics.median(losses):.3f}{spread}{kind}"


def draw(folder: Path = KEPT) -> Figure:
    """A panel a setting: each optimizer at its best rate, the median of the seeds, from the lowest to the highest."""
    kept = settings(folder)
    columns = 2
    rows = math.ceil(len(kept) / columns)
    figure, places = panels(rows, columns, height=2.7 * rows)
    for place, (axes, one) in enumerate(zip(places, kept, strict=False)):
        lowest = min(run["curve"][-1][1] for name in COLORS for run in one.of(name))
        for name, color in COLORS.items():
            curves = [run["curve"] for run in one.of(name)]
            if curves:
                steps = [step for step, _ in curves[0]]
                by_step: list[list[float]] = [[loss for _, loss in points] for points in zip(*curves, strict=True)]
                shown = [number for number, losses in enumerate(by_step) if max(losses) < lowest + SHOWN]
                found = [by_step[number] for number in shown]
                middle = [float(statistics.median(losses)) for losses in found]
                low, high = [min(losses) for losses in found], [max(losses) for losses in found]
                line(
                    axes,
                    [steps[number] for number in shown],
                    middle,
                    Ink(color, "solid"),
                    label=name,
                    low=low,
                    high=high,
                )
        units, model, text = WORDS[one.name].split(", ", 2)
        below = "optimizer steps" if place >= len(kept) - columns else ""
        describe(
            axes, title=f"{units}, {model},\n{text}", x=below, y="validation loss, nats" if place % columns == 0 else ""
        )
    for axes in places[len(kept) :]:
        axes.set_visible(False)
    for axes in places[: len(kept)]:
        label_lines(axes)
    return figure


def main() -> None:
    save(draw(), PICTURE)
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
