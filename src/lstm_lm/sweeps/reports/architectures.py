"""`study=architectures`: kinds of language models at equal parameters, on the same tokens and in equal time."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

from matplotlib.figure import Figure

from lstm_lm.reports import markdown
from lstm_lm.reports.direct_labels import label_lines
from lstm_lm.reports.figure import describe, line, log_axis, panels
from lstm_lm.reports.markdown import Column
from lstm_lm.reports.medians import draw_line, draw_rows
from lstm_lm.reports.palette import ink
from lstm_lm.reports.spread import Measured
from lstm_lm.runs.curves import Over
from lstm_lm.sweeps.barely_trained import FEWEST_STEPS, MARK, compares, is_barely_trained, marked
from lstm_lm.sweeps.learning_curves import learning_curve
from lstm_lm.sweeps.results import Results
from lstm_lm.sweeps.rows import Row

LOSS, SECONDS, SPEED = "val.loss", "train.seconds", "train.tokens_per_second"
CONTEXT, CURVE = "evaluation.context.effective_context", "evaluation.context.curve"
WRITING, SAMPLE = "evaluation.sampling.tokens_per_second", "evaluation.sampling.text"
BASELINE = "LSTM"
CONDITIONS = ("equal parameters, the same tokens", "equal parameters, equal time")
CONTEXT_NOTE = (
    "Effective context: the least length from which on all longer ones stay within 1 % of the longest one's loss, at "
    "{:,} positions of the validation text beyond a model's longest context. Models differ in that, so the curves' "
    "shapes compare; their heights and the table's losses do not."
)
SCOPE = (
    "This is of models of this size on this text after so few minutes: which architecture is best with more of "
    "parameters, text or time, it does not tell."
)
SHOWN = 400
"""Characters of a sample."""


class Architectures:
    """Models x (equal tokens, equal time)."""

    title = "RNN, LSTM, GRU, Transformer and feed-forward model"
    question = (
        "Would another architecture have been better? Five models with equal numbers of parameters (within 2 %) are "
        "trained on the same tokens, each with the one-cycle schedule; and, again, for the same time, at a constant "
        "learning rate, because nobody knows how many steps there will be. Each has one learning rate for both, chosen "
        "with the schedule (conf/study/architectures.yaml says among which). All are scored alike: every token once, "
        "with all the context that the model can hold."
    )
    columns = (
        Column(LOSS, "validation loss, nats", "{:.4f}"),
        Column("val.perplexity", "perplexity", "{:.3f}"),
        Column("val.bits_per_byte", "bits per byte", "{:.4f}"),
        Column(CONTEXT, "effective context, tokens", "{:.0f}"),
        Column(SECONDS, "seconds of training", "{:,.1f}"),
        Column("train.steps", "optimizer steps", "{:,.0f}"),
        Column(SPEED, "training, tokens per second", "{:,.0f}"),
        Column(WRITING, "writing, tokens per second", "{:,.0f}"),
        Column("model.parameters", "parameters", "{:,.0f}"),
        Column("runtime.peak_memory_bytes", "peak memory, MiB", "{:,.0f}", 2**-20),
    )

    def meaning(self, results: Results) -> Sequence[str]:
        """Who ends below the LSTM's loss, under each condition."""
        sentences: list[str] = []
        for condition, rows in _by_condition(results).items():
            sentences += _ranking(results, condition, rows)
        if any(not is_barely_trained(results, row) for rows in _by_condition(results).values() for row in rows):
            sentences.append(SCOPE)
        return sentences

    def findings(self, results: Results) -> Sequence[str]:
        """For each condition the ranking against the LSTM, and all figures; then the samples."""
        blocks = []
        for condition, rows in _by_condition(results).items():
            blocks.append(f"### At {condition}")
            if sentences := [told for row in rows for told in _sentences(results, row)]:
                blocks.append("\n".join(f"- {told}" for told in sentences))
            columns = [column for column in self.columns if column.figure != "runtime.peak_memory_bytes"]
            table = [
                [
                    marked(results, row, _model(row)),
                    *(markdown.spread(results.measured(row, column.figure), column) for column in columns),
                ]
                for row in rows
            ]
            blocks.append(markdown.table(["", *(column.title for column in columns)], table))
        if positions := _positions(results):
            blocks.append(CONTEXT_NOTE.format(positions))
        return [*blocks, *_samples(results)]

    def plots(self, results: Results) -> Mapping[str, Figure]:
        """Loss and speeds, a row a model; the loss over the length of the context as lines."""
        conditions = _by_condition(results)
        if not conditions:
            return {}
        losses, places = panels(1, len(conditions), height=2.9, share_y=True)
        models = [_model(row) for rows in conditions.values() for row in rows]
        order = list(dict.fromkeys(models))  # one place and colour a model, in all panels
        for axes, (condition, rows) in zip(places, conditions.items(), strict=True):
            found = {_model(row): results.measured(row, LOSS) for row in rows}
            hollow = {_model(row) for row in rows if is_barely_trained(results, row)}
            barely = f"\n(hollow: under {FEWEST_STEPS} steps)" if hollow else ""
            describe(axes, title=condition.replace(", ", ",\n"), x=f"validation loss, nats per token{barely}")
            draw_rows(axes, {name: found.get(name) for name in order}, pattern="{:.2f}", hollow=hollow)
        pictures = {"architectures_loss": losses}
        if (learning := _draw_learning(results, conditions, order)) is not None:
            pictures["architectures_learning"] = learning
        rows = next(iter(conditions.values()))
        speeds = {
            title: {_model(row): value for row in rows if (value := results.measured(row, figure)) is not None}
            for title, figure in (("training, tokens per second", SPEED), ("writing, tokens per second", WRITING))
        }
        if drawn := {title: values for title, values in speeds.items() if values}:
            pictures["architectures_speed"], places = panels(1, len(drawn), height=2.7, share_y=True)
            for axes, (title, values) in zip(places, drawn.items(), strict=True):
                describe(axes, x=title)
                draw_rows(axes, values, pattern="{:,.0f}")
        if curves := {_model(row): curve for row in rows if (curve := _curve(results, row))}:
            pictures["architectures_context"] = _draw_curves(curves)
        return pictures


def _ranking(results: Results, condition: str, rows: Sequence[Row]) -> Iterator[str]:
    """Who is ahead of the LSTM, who is behind it, and of whom that cannot be said."""
    ratios = {row.key: results.ratio(row, BASELINE, LOSS) for row in rows}
    compared = [row for row in rows if ratios[row.key] is not None]
    told = [row for row in compared if compares(results, row, BASELINE)]
    groups: dict[str, list[str]] = {"end below the LSTM's loss": [], "above it": [], "no difference measured": []}
    for row in told:
        ratio = ratios[row.key]
        assert ratio is not None
        where = 2 if not ratio.differs else 0 if ratio.median < 1 else 1
        if ratio.count > 1:
            list(groups.values())[where].append(_model(row))
    parts = [f"{what}: {', '.join(names)}" for what, names in groups.items() if names]
    if parts:
        yield f"At {condition}, {'; '.join(parts)}."
    if barely := [_model(row) for row in compared if row not in told]:
        yield (
            f"At {condition}, nothing is said of {', '.join(barely)} against the LSTM: fewer than {FEWEST_STEPS} "
            "optimizer steps in one of the two."
        )


def _draw_learning(results: Results, conditions: Mapping[str, Sequence[Row]], order: Sequence[str]) -> Figure | None:
    """The validation loss while they trained; None where the runs have recorded none."""
    drawn: dict[str, dict[str, dict[float, Measured]]] = {}
    for condition, rows in conditions.items():
        over: Over = "seconds" if condition == CONDITIONS[1] else "steps"
        found = {_model(row): curve for row in rows if (curve := learning_curve(results, row, over))}
        if found:
            drawn[condition] = found
    if not drawn:
        return None
    figure, places = panels(1, len(drawn), share_y=True)
    for axes, (condition, curves) in zip(places, drawn.items(), strict=True):
        x = "seconds of training" if condition == CONDITIONS[1] else "optimizer steps"
        y = "validation loss, nats per token" if axes is places[0] else ""
        describe(axes, title=condition.replace(", ", ",\n"), x=x, y=y)
        for name, points in curves.items():
            draw_line(axes, points, ink(order.index(name)), label=name)
        label_lines(axes)
    return figure


def _draw_curves(curves: Mapping[str, Mapping[float, float]]) -> Figure:
    figure, (axes,) = panels()
    for number, (name, curve) in enumerate(curves.items()):
        lengths = sorted(curve)
        line(axes, lengths, [curve[length] for length in lengths], ink(number), label=name)
    log_axis(axes, "x", base=2)
    describe(
        axes, title=f"loss by context, medians; at {CONDITIONS[0]}", x="tokens of context", y="loss, nats per token"
    )
    label_lines(axes)
    return figure


def _by_condition(results: Results) -> dict[str, list[Row]]:
    """The rows that have a loss, the best first."""
    found: dict[str, list[Row]] = {}
    for condition, by_time in zip(CONDITIONS, (False, True), strict=True):
        rows = [
            (value.median, row)
            for row in results.plan.rows
            if (row.config["trainer"]["max_time"] is not None) == by_time
            and (value := results.measured(row, LOSS)) is not None
        ]
        if rows:
            found[condition] = [row for _, row in sorted(rows, key=lambda pair: pair[0])]
    return found


def _sentences(results: Results, row: Row) -> Iterator[str]:
    """Loss and speed against the LSTM's."""
    loss = results.ratio(row, BASELINE, LOSS)
    if loss is None:
        return
    if loss.low is None or loss.high is None:
        yield f"{_model(row)}: {loss.median:.3f} times the LSTM's loss in one repetition: nothing is concluded."
        return
    interval = f"(95 % interval {loss.low:.3f} to {loss.high:.3f}, {loss.count} repetitions)"
    if not compares(results, row, BASELINE):
        yield f"{_model(row)} against the LSTM: one is barely trained {MARK}, and nothing is concluded of the loss."
    elif loss.differs:
        yield f"{_model(row)} ends with **{loss.median:.3f} times** the LSTM's loss {interval}."
    else:
        yield f"{_model(row)} against the LSTM: no difference in the loss measured {interval}."
    for figure, what in ((SPEED, "trains"), (WRITING, "writes")):
        speed = results.ratio(row, BASELINE, figure)
        if speed is not None and speed.differs:
            bounds = f"({speed.low:.2f} to {speed.high:.2f})"
            yield f"{_model(row)} {what} at {speed.median:.2f} times the LSTM's speed {bounds}."


def _positions(results: Results) -> int | None:
    counts = [run.figure("evaluation.context.positions") for row in results.plan.rows for run in results.of(row)]
    return next((int(count) for count in counts if count), None)


def _curve(results: Results, row: Row) -> dict[float, float]:
    """The loss by the length of the context, medians over the repetitions."""
    losses: dict[float, list[float]] = {}
    for run in results.of(row):
        for point in (run.figure(CURVE) if run.status == "completed" else None) or ():
            losses.setdefault(float(point["length"]), []).append(float(point["loss"]))
    return {length: statistics.median(found) for length, found in losses.items()}


def _samples(results: Results) -> Iterator[str]:
    """What each wrote in its first repetition."""
    for condition, rows in _by_condition(results).items():
        shown = []
        for row in rows:
            run = results.of(row)[0]
            text, options = run.figure(SAMPLE), run.figure("evaluation.sampling.options")
            if isinstance(text, str) and isinstance(options, Mapping):
                shown += [f"{_model(row)}:", _quoted(f"{options['prompt']}{text}"[:SHOWN])]
            elif (reason := run.figure("evaluation.sampling.text_reason")) is not None:
                shown.append(f"{_model(row)}: no sample: {reason}")
        if shown:
            yield f"### Samples, {condition}"
            yield from shown


def _quoted(text: str) -> str:
    """As code, and indented, so that nothing in it is Markdown, not even the end of the code."""
    return "\n".join(["```text", *(f"    {line}".rstrip() for line in text.splitlines()), "```"])


def _model(row: Row) -> str:
    name = str(row.config["model"]["name"])
    return name.upper() if len(name) <= 4 else name.capitalize()


REPORT = Architectures()
