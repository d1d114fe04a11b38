"""Pictures of evaluations."""

from typing import Any

from lstm_lm.reports.evaluation_picture import draw_contexts


def section(*excess: float) -> dict[str, Any]:
    """Of `method=context`, by lengths 1, 2, 4, ..."""
    return {
        "curve": [
            {"length": 2**power, "excess": more, "excess_interval": [0.5 * more, 2 * more]}
            for power, more in enumerate(excess)
        ]
    }


def test_contexts_of_several_runs_are_lines_above_each_ones_own_full_context() -> None:
    """On a logarithmic axis, so that the last tokens' share shows; where nothing is lost, there is no point."""
    [axes] = draw_contexts({"lstm": section(1.0, 0.1, 0.001, 0.0), "rnn": section(0.5, 0.2, 0.0)}).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    lines = {str(line.get_label()): [float(y) for y in line.get_ydata()] for line in axes.get_lines()}
    assert lines == {"lstm": [1.0, 0.1, 0.001], "rnn": [0.5, 0.2]}
    assert {text.get_text() for text in axes.texts} == {"lstm", "rnn"}
