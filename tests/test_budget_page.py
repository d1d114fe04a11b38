"""The page of `budget=` says what was measured, and the rule's constants are those that the runs give."""

import importlib
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lstm_lm.training.tuning.rule import CONSTANTS


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "benchmarks"))
    return importlib.import_module


def test_the_page_is_made_from_the_figures(script: Any) -> None:
    page: ModuleType = script("budget_page")
    assert page.PAGE.read_text(encoding="utf-8") == page.page()


def test_the_rule_has_the_constants_that_fit_best(script: Any) -> None:
    fitting: ModuleType = script("budget_fit")
    grids = [fitting.grid(fitting.kept(name)) for name in fitting.SEEN]
    assert asdict(fitting.fit(grids).constants) == pytest.approx(asdict(CONSTANTS), rel=0.02)
