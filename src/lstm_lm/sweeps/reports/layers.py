"""`study=layers`: what each forward strategy brings, by the number of layers, in training and in inference."""

from collections.abc import Iterator, Mapping, Sequence

from matplotlib.figure import Figure

from lstm_lm.reports import markdown
from lstm_lm.reports.crossings import told
from lstm_lm.reports.figure import describe, panels, reference
from lstm_lm.reports.markdown import Column
from lstm_lm.reports.medians import draw_lines
from lstm_lm.reports.spread import Measured, Ratio
from lstm_lm.sweeps.results import Results
from lstm_lm.sweeps.rows import Row

TRAINING = "train.tokens_per_second"
INFERENCE = "evaluation.static.splits.validation.speed.tokens_per_second"
MODES = {"training": TRAINING, "inference": INFERENCE}
ONE_CORE, ONE_LAYER = "one core", "one layer at a time"
THREADS = {TRAINING: "runtime.settings.threads", INFERENCE: "evaluation.static.threads"}


class Layers:
    """Strategies x layers."""

    title = "Layers side by side"
    question = (
        "How much faster is a stack of LSTM layers when several layers work at the same time, each on another part "
        "of the window, than on one core, or than one layer after the other with all cores in each? Others have "
        "reported, for inference in C++ on 8 cores against their own code on one, 3.9 times the speed with 4 "
        "layers and 7.9 times with 8; and against parallel matrix products, one layer at a time, 7.76 times "
        "against 2.39. Efficiency is the speed-up over one core, by the number of threads: 1 is all that cores can "
        "bring."
    )
    columns = (
        Column("train.step_ms", "ms per training step", "{:,.2f}"),
        Column(TRAINING, "training, tokens per second", "{:,.0f}"),
        Column(INFERENCE, "inference, tokens per second", "{:,.0f}"),
        Column(THREADS[TRAINING], "threads", "{:.0f}"),
        Column("runtime.peak_memory_bytes", "peak memory, MiB", "{:,.0f}", 2**-20),
    )

    def meaning(self, results: Results) -> Sequence[str]:
        """From how many layers on the pipeline is worth it."""
        found = {mode: told(_pipelined(results, figure), "pipelined", "fused", "L =") for mode, figure in MODES.items()}
        return [f"In {mode}, {sentence}" for mode, sentence in found.items() if sentence is not None]

    def findings(self, results: Results) -> Sequence[str]:
        """The layer pipeline in sentences; every strategy in a table for each mode."""
        sentences = list(self._sentences(results))
        blocks = ["\n".join(f"- {line}" for line in sentences)] if sentences else []
        for mode, figure in MODES.items():
            rows = [self._line(results, row, figure) for row in _contenders(results, figure)]
            if rows:
                header = [
                    f"{mode}, speed times that of",
                    "layers",
                    "one core",
                    "efficiency",
                    "one layer at a time, all cores",
                ]
                blocks.append(markdown.table(header, rows))
        return blocks

    def plots(self, results: Results) -> Mapping[str, Figure]:
        """Speed-up over one core, over the number of layers."""
        modes = {mode: figure for mode, figure in MODES.items() if _contenders(results, figure)}
        if not modes:
            return {}
        picture, places = panels(1, len(modes), share_y=True)
        for axes, (mode, figure) in zip(places, modes.items(), strict=True):
            describe(axes, title=mode, x="layers", y="times as fast as fused on one core" if axes is places[0] else "")
            draw_lines(axes, _series(results, figure), log_y=True)
            reference(axes, 1.0)
        return {"layers": picture}

    def _sentences(self, results: Results) -> Iterator[str]:
        for mode, figure in MODES.items():
            for row in _contenders(results, figure):
                if _strategy(row) != "pipelined":
                    continue
                for baseline in (ONE_CORE, ONE_LAYER):
                    other = results.plan.baseline(baseline, row)
                    than = "fused on one core" if baseline == ONE_CORE else "fused on all cores"
                    ratio = results.ratio(row, baseline, figure)
                    sentence = markdown.times_as_fast(ratio, f"{mode}, L={_layers(row):g}: pipelined", than)
                    if other is not None and sentence is not None:
                        yield sentence

    def _line(self, results: Results, row: Row, figure: str) -> list[str]:
        over_one_core = results.ratio(row, ONE_CORE, figure)
        efficiency = None if over_one_core is None else over_one_core.median / _threads(results, row, figure)
        return [
            _strategy(row),
            f"{_layers(row):g}",
            markdown.ratio(over_one_core),
            markdown.NOTHING if efficiency is None else f"{efficiency:.2f}",
            markdown.ratio(results.ratio(row, ONE_LAYER, figure)),
        ]


def _pipelined(results: Results, figure: str) -> dict[float, Ratio]:
    """Its speed over that of one layer at a time on all cores, by layers."""
    found: dict[float, Ratio] = {}
    for row in results.plan.rows:
        ratio = results.ratio(row, ONE_LAYER, figure)
        if _strategy(row) == "pipelined" and ratio is not None:
            found[_layers(row)] = ratio
    return found


def _contenders(results: Results, figure: str) -> list[Row]:
    """The rows that have the figure and are compared with another; by strategy, then by layers."""
    rows = [row for row in results.plan.rows if results.ratio(row, ONE_CORE, figure) is not None]
    order = {name: number for number, name in enumerate(dict.fromkeys(map(_strategy, rows)))}
    return sorted(rows, key=lambda row: (order[_strategy(row)], _layers(row)))


def _series(results: Results, figure: str) -> dict[str, dict[float, Measured]]:
    series: dict[str, dict[float, Measured]] = {}
    for row in _contenders(results, figure):
        ratio = results.ratio(row, ONE_CORE, figure)
        if ratio is not None:
            series.setdefault(_strategy(row), {})[_layers(row)] = _as_measured(ratio)
    return series


def _as_measured(ratio: Ratio) -> Measured:
    low = ratio.median if ratio.low is None else ratio.low
    high = ratio.median if ratio.high is None else ratio.high
    return Measured(ratio.median, low, high, ratio.count)


def _strategy(row: Row) -> str:
    return str(row.config["forward"]["name"])


def _layers(row: Row) -> float:
    return float(row.config["model"]["num_layers"])


def _threads(results: Results, row: Row, figure: str) -> float:
    threads = results.measured(row, THREADS[figure])
    return 1.0 if threads is None else threads.median


REPORT = Layers()
