"""What `budget=` shows before the first step."""

from typing import Any

from lstm_lm.terminal import Terminal
from lstm_lm.training.tuning.budget_table import table


def row(layers: int, worse_by: float, **more: Any) -> dict[str, Any]:
    sizes = {"layers": layers, "hidden_size": 1024, "parameters": 12_345_678, "step_ms": 1234.5, "passes": 12.3}
    return {**sizes, "dropout": 0.4, "worse_by": worse_by, "measured": True, "chosen": not worse_by, **more}


def test_losses_are_the_rules_and_told_by_what_they_are_above_the_best(capsys: Any) -> None:
    console = Terminal(width=80)
    console.print(table([row(3, 0.0), row(2, 0.0123), row(1, 0.45, measured=False)]))
    heading, best, second, third = capsys.readouterr().out.splitlines()
    assert "predicted loss" in heading
    assert "best" in best
    assert "+0.012" in second
    assert "+0.450" in third
    assert "timed" in second
