"""`study=tuning`: what each runtime and data setting brings in time and in loss, one at a time and together."""

from collections.abc import Iterator, Mapping, Sequence

from matplotlib.figure import Figure

from lstm_lm.reports import markdown
from lstm_lm.reports.figure import describe, panels
from lstm_lm.reports.markdown import Column
from lstm_lm.reports.ratios import draw_ratios
from lstm_lm.sweeps.barely_trained import FEWEST_STEPS, compares, marked
from lstm_lm.sweeps.results import Results
from lstm_lm.sweeps.rows import Row

SPEED, LOSS, MEMORY = "train.tokens_per_second", "val.loss", "runtime.peak_memory_bytes"
BASELINE = "default"
ON_GPUS = ("runtime.cudnn_benchmark", "runtime.empty_cache_every_n_batches", "runtime.token_stream")
"""Settings that mean nothing on a CPU."""
GAIN, TRADE, HARM = (
    "Better than the default in speed or loss, and worse in neither",
    "A trade of speed against loss",
    "Worse than the default in speed or loss, and better in neither",
)
MOST_TOLD = 2
"""Settings of a row that a picture has room for."""
ASKED, IN_FORCE = "runtime.", "runtime.settings."


class Tuning:
    """Settings on and off, against the defaults."""

    title = "Settings, one at a time and together"
    question = (
        "Guides to faster training advise many settings at once. What does each bring by itself, in time and in loss, "
        "and what do all together? Each row reads the training text equally often, whatever its window and batch, and "
        "is compared with the default of the same model; a seed is shared by the rows of a repetition."
    )
    columns = (
        Column(SPEED, "tokens per second", "{:,.0f}"),
        Column("train.seconds", "seconds of training", "{:,.1f}"),
        Column("train.steps", "optimizer steps", "{:,.0f}"),
        Column(LOSS, "validation loss, nats", "{:.4f}"),
        Column(MEMORY, "peak memory, MiB", "{:,.0f}", 2**-20),
        Column("runtime.settings.threads", "threads", "{:.0f}"),
    )

    def meaning(self, results: Results) -> Sequence[str]:
        """Which settings cost nothing and bring something, which are a trade, and which do harm."""
        groups: dict[str, list[str]] = {what: [] for what in (GAIN, TRADE, HARM)}
        for row in _contenders(results):
            if why_no_effect(results, row) or (what := _worth(results, row)) is None:
                continue
            groups[what].append(f"`{row.label}`")
        rows = [row for row in _contenders(results) if results.values(row, LOSS)]
        sentences = [f"{what}: {', '.join(found)}." for what, found in groups.items() if found]
        if barely := sum(not compares(results, row, BASELINE) for row in rows):
            sentences.append(
                f"Of the loss of {barely} of the {len(rows)} rows nothing is concluded: it, or the default, "
                f"took fewer than {FEWEST_STEPS} optimizer steps."
            )
        return sentences

    def findings(self, results: Results) -> Sequence[str]:
        """What differs; what does not; what cannot; and the table of all."""
        rows = [row for row in _contenders(results) if results.values(row, SPEED)]
        if not rows:
            return []
        blocks = []
        if sentences := [line for row in rows for line in _sentences(results, row)]:
            blocks.append("\n".join(f"- {line}" for line in sentences))
        if idle := [row for row in rows if why_no_effect(results, row)]:
            reasons = "\n".join(f"- `{row.label}`: {why_no_effect(results, row)}" for row in idle)
            blocks.append(
                "No effect by construction: what differs between these rows and the default is noise, and nothing else."
                f"\n\n{reasons}"
            )
        if skipped := [row for row in _contenders(results) if results.status(row) == "skipped"]:
            names = ", ".join(f"`{row.label}`" for row in skipped)
            blocks.append(f"Not measured, because this machine cannot run them: {names}.")
        header = ["against the default", "speed, times", "validation loss, times", "memory, times"]
        table = [
            [
                marked(results, row, row.label),
                *(markdown.ratio(results.ratio(row, BASELINE, figure)) for figure in (SPEED, LOSS, MEMORY)),
            ]
            for row in rows
        ]
        return [*blocks, markdown.table(header, table)]

    def plots(self, results: Results) -> Mapping[str, Figure]:
        """Speed and loss against the default, side by side."""
        rows = [row for row in _contenders(results) if results.ratio(row, BASELINE, SPEED) is not None]
        if not rows:
            return {}
        figure, places = panels(1, 2, height=1.0 + 0.32 * len(rows), share_y=True)
        shown = {_name(results, row): row for row in rows}
        for axes, title, key, higher in (
            (places[0], "times as fast as the default", SPEED, True),
            (places[1], "validation loss, times", LOSS, False),
        ):
            describe(axes, title=title)
            draw_ratios(
                axes,
                {name: results.ratio(row, BASELINE, key) for name, row in shown.items()},
                higher_is_better=higher,
            )
        return {"tuning": figure}


def why_no_effect(results: Results, row: Row) -> str | None:
    """Why a row does, by construction, what the default does; None: it may differ."""
    other = results.plan.baseline(BASELINE, row)
    if other is None or other.key == row.key:
        return None
    changed = {key for key in {*row.overrides, *other.overrides} if row.overrides.get(key) != other.overrides.get(key)}
    reasons: list[str] = []
    for key in sorted(changed):
        reason = _idle(results, row, other, key)
        if reason is None:
            return None
        reasons.append(reason)
    return "; ".join(reasons)


def _idle(results: Results, row: Row, other: Row, key: str) -> str | None:
    """Why the setting `key` changes nothing in `row`; None: it may."""
    on_cpu = all(str(run.figure("runtime.device")).startswith("cpu") for run in results.of(row))
    if key in ON_GPUS and on_cpu:
        return f"`{key}` means nothing on a CPU"
    if not key.startswith(ASKED):
        return None
    name = IN_FORCE + key.removeprefix(ASKED)
    there, before = ([run.figure(name) for run in results.of(one) if run.status == "completed"] for one in (row, other))
    known = all(isinstance(run.figure("runtime.settings"), Mapping) for run in results.of(row))
    if known and there and before and {*map(str, there)} == {*map(str, before)} and len({*map(str, there)}) == 1:
        asked = row.overrides.get(key, "").partition("=")[2] or "the default"
        in_force = "none" if there[0] is None else there[0]
        return f"`{key}`: asked for {asked}, in force {in_force}, as by default"
    return None


def _contenders(results: Results) -> list[Row]:
    """The rows that are compared with another one."""
    rows = results.plan.rows
    return [row for row in rows if (other := results.plan.baseline(BASELINE, row)) is not None and other.key != row.key]


def _sentences(results: Results, row: Row) -> Iterator[str]:
    """What is outside the noise."""
    if why_no_effect(results, row):
        return
    speed, loss = results.ratio(row, BASELINE, SPEED), results.ratio(row, BASELINE, LOSS)
    told = []
    if speed is not None and speed.differs:
        told.append(f"**{speed.median:.2f} times** the speed ({speed.low:.2f} to {speed.high:.2f})")
    if loss is not None and loss.differs and compares(results, row, BASELINE):
        told.append(f"{loss.median:.3f} times the validation loss ({loss.low:.3f} to {loss.high:.3f})")
    if told:
        yield f"`{row.label}`: {', '.join(told)}."


def _worth(results: Results, row: Row) -> str | None:
    """What a row is, by speed and loss against the default; None: nothing can be said, or nothing differs."""
    speed, loss = results.ratio(row, BASELINE, SPEED), results.ratio(row, BASELINE, LOSS)
    if speed is None or loss is None or not compares(results, row, BASELINE):
        return None
    sides = {(ratio.median > 1) == higher for ratio, higher in ((speed, True), (loss, False)) if ratio.differs}
    return None if not sides else TRADE if len(sides) == 2 else GAIN if True in sides else HARM


def _name(results: Results, row: Row) -> str:
    """What tells it from the default, as short as it must be in a picture; a star: no effect by construction."""
    other = results.plan.baseline(BASELINE, row)
    same = other.settings.items() if other is not None else ()
    told = [f"{key.rpartition('.')[2]}={value}" for key, value in row.settings.items() if (key, value) not in same]
    short = ", ".join(told) if len(told) <= MOST_TOLD else row.arm.replace("_", " ")
    return f"{short} *" if why_no_effect(results, row) else short


REPORT = Tuning()
