"""The page of optimizers says what was measured, and the default is what it says."""

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "benchmarks"))
    return importlib.import_module("optimizers_page")


def test_the_page_is_made_from_the_figures(page: ModuleType) -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.page()


@pytest.mark.parametrize(
    ("goal", "bound", "ratio"),
    [
        (1.60, ">", 2.0),  # half the length suffices: at least twice as few steps
        (1.50, "", 4 / 3),  # just what three quarters reach
        (1.45, "", (4 / 3) ** 0.5),  # half-way between, in logarithms
        (1.30, "<", 1.0),  # the whole length does not suffice
    ],
)
def test_how_many_times_fewer_steps(goal: float, bound: str, ratio: float, page: ModuleType) -> None:
    """Muon's losses: 1.6 after half the length, 1.5 after three quarters, 1.4 after all of it."""
    found, value = page.ratio_at(goal, [(0.5, 1.6), (0.75, 1.5), (1.0, 1.4)])
    assert found == bound
    assert value == pytest.approx(ratio)


def test_the_readme_quotes_the_page(page: ModuleType) -> None:
    in_one_line = " ".join(page.page().split())
    found = re.search(r"that is ([\d.]+) times fewer seconds .*? and ([\d.]+) times restricted", in_one_line)
    assert found is not None
    readme = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
    assert f"| {found[1]} times fewer | {found[2]} times fewer |" in readme
