"""`study=precision_compile`: what 16-bit products and torch.compile bring in time, memory and loss."""

from collections.abc import Iterator, Mapping, Sequence

from matplotlib.figure import Figure

from lstm_lm.reports import markdown
from lstm_lm.reports.figure import describe, panels
from lstm_lm.reports.markdown import Column
from lstm_lm.reports.ratios import draw_ratios
from lstm_lm.sweeps.barely_trained import STEPS
from lstm_lm.sweeps.results import Results
from lstm_lm.sweeps.rows import Row

SPEED = "train.tokens_per_second"
FLOAT32, EAGER, BOTH = "float32", "not compiled", "float32, not compiled"


class PrecisionCompile:
    """Precisions x torch.compile on and off."""

    title = "Mixed precision and torch.compile"
    question = (
        "What does it bring to train with 16-bit products, and to compile the model? Others have reported 3.0 times "
        "the speed for mixed precision on an NVIDIA T4 (7,300 to 2,400 ms), and 1.2 times for `torch.compile` on an "
        "A100 (1,500 to 1,255 ms)."
    )
    columns = (
        Column("train.step_ms", "ms per step", "{:,.2f}"),
        Column(SPEED, "tokens per second", "{:,.0f}"),
        Column("runtime.peak_memory_bytes", "peak memory, MiB", "{:,.0f}", 2**-20),
        Column("train.loss", "training loss, nats", "{:.4f}"),
        Column("val.loss", "validation loss, nats", "{:.4f}"),
        Column("runtime.compile_graphs", "graphs", "{:.0f}"),
        Column("runtime.compile_seconds", "seconds to compile", "{:.1f}"),
        Column("runtime.startup_seconds", "seconds to the first step", "{:.1f}"),
    )

    def meaning(self, results: Results) -> Sequence[str]:
        """The fastest row, and what made no difference."""
        found = {row.label: results.ratio(row, BOTH, SPEED) for row in results.plan.rows}
        ratios = {label: ratio for label, ratio in found.items() if ratio is not None}
        sentences = []
        faster = {label: ratio for label, ratio in ratios.items() if ratio.differs and ratio.median > 1}
        if faster:
            best = max(faster, key=lambda label: faster[label].median)
            sentences.append(f"The fastest on this machine is `{best}`, {faster[best].median:.2f} times {BOTH}.")
        elif ratios:
            sentences.append(f"On this machine nothing was measured to be faster than {BOTH}.")
        if alike := [f"`{label}`" for label, ratio in ratios.items() if ratio.count > 1 and not ratio.differs]:
            sentences.append(f"No difference in speed from {BOTH} was measured of {', '.join(alike)}.")
        return sentences

    def findings(self, results: Results) -> Sequence[str]:
        """Speed-ups, each by itself and both together, and what the loss has to say."""
        lines = [line for row in results.plan.rows for line in self._sentences(results, row)]
        if not lines:
            return []
        names = list(results.plan.baselines)
        header = ["speed, times that of", *names, "memory, times that of float32"]
        rows = [
            [
                row.label,
                *(markdown.ratio(results.ratio(row, name, SPEED)) for name in names),
                markdown.ratio(results.ratio(row, BOTH, "runtime.peak_memory_bytes")),
            ]
            for row in results.plan.rows
            if results.values(row, SPEED)
        ]
        return ["\n".join(f"- {line}" for line in lines), markdown.table(header, rows)]

    def _sentences(self, results: Results, row: Row) -> Iterator[str]:
        for baseline in (FLOAT32, EAGER):
            other = results.plan.baseline(baseline, row)
            if other is not None:
                sentence = markdown.times_as_fast(
                    results.ratio(row, baseline, SPEED), f"`{row.label}`", f"`{other.label}`"
                )
                if sentence is not None:
                    yield sentence
        loss, steps = results.ratio(row, BOTH, "train.loss"), results.measured(row, STEPS)
        if loss is not None and loss.differs and steps is not None:
            yield (
                f"`{row.label}` is at {loss.median:.4f} times the training loss of float32, not compiled, after the "
                f"same {steps.median:,.0f} steps: what rounding does to them, not to a finished model."
            )

    def plots(self, results: Results) -> Mapping[str, Figure]:
        """Speed and memory against float32 that is not compiled, side by side."""
        rows = [row for row in results.plan.rows if results.ratio(row, BOTH, SPEED) is not None]
        if not rows:
            return {}
        figure, places = panels(1, 2, height=1.2 + 0.4 * len(rows), share_y=True, title=f"against {BOTH}")
        for axes, title, key, higher in (
            (places[0], "times as fast", SPEED, True),
            (places[1], "memory, times as much", "runtime.peak_memory_bytes", False),
        ):
            describe(axes, title=title)
            ratios = {_name(row): results.ratio(row, BOTH, key) for row in rows}
            draw_ratios(axes, ratios, higher_is_better=higher)
        return {"precision_compile": figure}


def _name(row: Row) -> str:
    mode = row.settings.get("compile", "none")
    return str(row.settings.get("precision", "")) + ("" if mode == "none" else f", compile={mode}")


REPORT = PrecisionCompile()
