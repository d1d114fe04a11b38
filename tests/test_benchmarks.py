"""The documents say what the committed figures say, and the scripts that made the figures still run."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import lstm_lm

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("page")


def figures(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def test_the_page_is_made_from_the_figures(page: ModuleType) -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.page()


def test_the_readme_quotes_the_figures() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    quick = figures("whole_process")["runs"]["shakespeare_quick"]
    seconds, loss = quick["whole_process_seconds"]["median"], quick["val"]["loss"]
    assert f"{seconds:.0f} s for {loss:.2f} nats per character" in readme
    assert f"validation loss {loss:.2f} nats per character" in readme
    assert (
        f"{figures('overhead')['shapes']['default']['application_speed_of_bare']['median']:.2f} of its speed" in readme
    )
    assert f"{figures('generation')['ratios']['application / bare']['median']:.1f} times its speed" in readme


@pytest.mark.parametrize("name", sorted(path.stem for path in RESULTS.glob("*.json")))
def test_figures_say_where_they_are_from(name: str) -> None:
    content = figures(name)
    assert content["machine"].keys() == {"cpu", "cores", "device"}
    assert {"python", "torch", "lstm-lm"} <= content["versions"].keys()
    assert content["date"]
    assert (ROOT / "benchmarks" / f"{name}.py").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["generation.py", "--rounds", "1", "--tokens", "20"],
        ["dropout.py", "--rounds", "1"],
        ["overhead.py", "--rounds", "1", "--steps", "14", "--shapes", "default"],
    ],
    ids=lambda command: command[0],
)
def test_a_script_runs_and_writes_its_figures(command: list[str], tmp_path: Path) -> None:
    script, *arguments = command
    out = tmp_path / "out.json"
    subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), *arguments, "--out", str(out)],
        check=True,
        capture_output=True,
        timeout=300,
    )
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written["benchmark"] == Path(script).stem
    assert written.keys() == figures(Path(script).stem).keys()


def test_the_evaluation_script_runs_on_any_run(small_config: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=2"), tmp_path / "run")
    out = tmp_path / "out.json"
    script = str(ROOT / "benchmarks" / "evaluation.py")
    subprocess.run(
        [sys.executable, script, str(tmp_path / "run"), "--rounds", "1", "--out", str(out)],
        check=True,
        capture_output=True,
        timeout=300,
    )
    assert json.loads(out.read_text(encoding="utf-8")).keys() == figures("evaluation").keys()
