"""`study=batch_device`: tokens per second by batch size, of each device with each kernel, and where the lines cross."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from matplotlib.figure import Figure

from lstm_lm.reports import markdown
from lstm_lm.reports.crossings import told
from lstm_lm.reports.figure import describe, panels
from lstm_lm.reports.markdown import Column
from lstm_lm.reports.medians import draw_lines
from lstm_lm.reports.spread import Measured, Ratio, paired_ratio
from lstm_lm.sweeps.results import Results
from lstm_lm.sweeps.rows import Row

SPEED = "train.tokens_per_second"
Line = tuple[str, str]
"""A device, as it is asked for, and a kernel."""
VENDOR = "fused"


class BatchDevice:
    """Devices x batch sizes x kernels."""

    title = "Batch size, device and kernel"
    question = (
        "From which batch size on is a GPU worth it, and what does a custom cell cost? The same LSTM is trained on "
        "each device by its vendor's kernel (oneDNN's, cuDNN's), which takes a whole window in one call, and by the "
        "project's own cell, compiled: what a cell would cost that no vendor has."
    )
    columns = (
        Column(SPEED, "tokens per second", "{:,.0f}"),
        Column("train.step_ms", "ms per step", "{:,.2f}"),
        Column("runtime.peak_memory_bytes", "peak memory, MiB", "{:,.0f}", 2**-20),
        Column("runtime.compile_seconds", "seconds to compile", "{:.1f}"),
    )

    def meaning(self, results: Results) -> Sequence[str]:
        """Who is ahead at which batch size."""
        return list(_sentences(results))

    def findings(self, results: Results) -> Sequence[str]:
        """What was skipped, and the speeds in a table."""
        blocks = list(_skipped(results))
        lines = _lines(results)
        if lines:
            sizes = sorted({size for line in lines.values() for size in line})
            header = ["tokens per second at batch size", *(f"{size:,.0f}" for size in sizes)]
            rows = [
                [_told(line), *(markdown.spread(points.get(size), self.columns[0]) for size in sizes)]
                for line, points in lines.items()
            ]
            blocks.append(markdown.table(header, rows))
        return blocks

    def plots(self, results: Results) -> Mapping[str, Figure]:
        """Speed over the batch size."""
        lines = _lines(results)
        if not lines:
            return {}
        figure, (axes,) = panels(height=4.0)
        describe(axes, x="batch size: streams that are trained at once", y="training, tokens per second")
        draw_lines(axes, {_told(line): points for line, points in lines.items()}, log_y=True)
        return {"batch_device": figure}


def _sentences(results: Results) -> Iterator[str]:
    """Of each two lines that differ in one thing."""
    rows = _by_line(results)
    for one, other in combinations(rows, 2):
        if (one[0] == other[0]) == (one[1] == other[1]):
            continue
        first, second = (other, one) if other[0] != "cpu" and one[0] == "cpu" else (one, other)
        ratios: dict[float, Ratio] = {}
        for size in {*rows[first]} & {*rows[second]}:
            ratio = paired_ratio(results.values(rows[first][size], SPEED), results.values(rows[second][size], SPEED))
            if ratio is not None:
                ratios[size] = ratio
        if (sentence := told(ratios, _told(first), _told(second), "batch size")) is not None:
            yield sentence


def _skipped(results: Results) -> Iterator[str]:
    """Which devices are not here, and what is therefore not answered."""
    for line, rows in _by_line(results).items():
        reasons = {
            run.reason.splitlines()[0]
            for row in rows.values()
            for run in results.of(row)
            if run.status == "skipped" and run.reason
        }
        if reasons and not any(results.values(row, SPEED) for row in rows.values()):
            sizes = f"{len(rows)} batch sizes"
            yield f"**Skipped: {_told(line)}** ({sizes}): {' / '.join(sorted(reasons))}. Nothing is said of it here."


def _by_line(results: Results) -> dict[Line, dict[float, Row]]:
    """By line, its rows by their batch size."""
    found: dict[Line, dict[float, Row]] = {}
    for row in results.plan.rows:
        line = str(row.config["trainer"]["accelerator"]), str(row.config["forward"]["name"])
        found.setdefault(line, {})[float(row.config["data"]["batch_size"])] = row
    return found


def _lines(results: Results) -> dict[Line, dict[float, Measured]]:
    """The points of each line that has any."""
    found: dict[Line, dict[float, Measured]] = {}
    for line, rows in _by_line(results).items():
        for size, row in rows.items():
            if (value := results.measured(row, SPEED)) is not None:
                found.setdefault(line, {})[size] = value
    return found


def _told(line: Line) -> str:
    device, kernel = line
    return f"{device.upper()}, {'vendor kernel' if kernel == VENDOR else f'custom cell ({kernel})'}"


REPORT = BatchDevice()
