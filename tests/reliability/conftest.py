"""Figures of these tests for docs/reliability.md: `pytest -m slow -n 0 --keep-figures` writes them anew."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "reliability"

Keep = Callable[..., None]


@pytest.fixture
def keep(request: pytest.FixtureRequest) -> Keep:
    """Writes a test's figures, with machine, versions and the command that reproduces them, where that is asked for."""

    def write(name: str, **figures: Any) -> None:
        if not request.config.getoption("keep_figures"):
            return
        sys.path.insert(0, str(ROOT / "benchmarks"))
        benchmark = importlib.import_module("figures")
        file = Path(request.node.path).relative_to(ROOT).as_posix()
        again = {"command": f"pytest -m slow {file} -k {request.node.originalname}"}
        benchmark.save(benchmark.record(name, torch.device("cpu"), again, figures), RESULTS / f"{name}.json")

    return write
