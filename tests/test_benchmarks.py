"""The documents say what the committed figures say, and the scripts that made the figures still run."""

import importlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import lstm_lm
from lstm_lm.registry import names
from lstm_lm.runs import checkpoint_file
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training.build import build
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.plan import Plan

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


@pytest.fixture
def page(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("page")


def run(out: Path, name: str, *arguments: str) -> Any:
    """The figures that a script writes."""
    subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / name), *arguments, "--out", str(out)],
        check=True,
        capture_output=True,
        timeout=300,
    )
    return json.loads(out.read_text(encoding="utf-8"))


def figures(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def test_the_page_is_made_from_the_figures(page: ModuleType) -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.page()


def test_the_page_of_reliability_is_made_from_the_figures(script: Callable[[str], ModuleType]) -> None:
    reliability = script("reliability_page")
    assert reliability.PAGE.read_text(encoding="utf-8") == reliability.page()


def test_the_readme_quotes_the_figures() -> None:
    """Of the processor as it is, and of the same told to be an ordinary one."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    both = ("", "-avx2")

    def run(kind: str, name: str) -> str:
        result = figures(f"whole_process{kind}")["runs"][name]
        return f"{result['whole_process_seconds']['median']:.0f} s for {result['val']['loss']:.2f} nats per character"

    def speed(kind: str) -> str:
        shape = figures(f"training{kind}")["shapes"]["L=2 H=256 B=64 T=100"]
        return f"{shape['speed_of_today']['ours']['median']:.1f} times its speed"

    for name in ("default", "shakespeare_quick"):
        assert f"| {' | '.join(run(kind, name) for kind in both)} |" in readme
    alone = figures("whole_process-avx2-alone")["runs"]
    seconds = " and ".join(
        f"{alone[name]['whole_process_seconds']['median']:.0f}" for name in ("default", "shakespeare_quick")
    )
    assert f"AVX2 alone took {seconds} s" in readme
    loss = figures("whole_process")["runs"]["shakespeare_quick"]["val"]["loss"]
    assert f"validation loss {loss:.2f} nats per character" in readme
    assert f"| {' | '.join(speed(kind) for kind in both)} |" in readme
    best = figures("recipes/shakespeare_best-1")
    minutes, words = best["whole_process_seconds"] / 60, readme.replace("\n  ", " ")
    assert f"{minutes:.0f} minutes on one core (`experiment=shakespeare_best`, one seed, with bfloat16)" in words
    assert f"reach {best['summary']['val']['loss']:.3f} nats" in words


def test_the_guide_quotes_the_figures() -> None:
    guide = (ROOT / "docs" / "guide" / "running.md").read_text(encoding="utf-8")
    shares = [f"{100 * figures(name)['grid']['auto']['share_right']:.0f} %" for name in ("forward", "forward-avx2")]
    words = "within 5 % of the best in {} of the measured cells, and in {} with AVX2"
    assert words.format(*shares) in guide.replace("\n", " ")


def test_long_tables_are_csv_files_that_are_made_from_the_figures(script: Callable[[str], ModuleType]) -> None:
    made = script("tables").tables(RESULTS)
    assert made == {path.name: path.read_text(encoding="utf-8") for path in RESULTS.glob("*.csv")}
    cells = figures("forward")["grid"]["cells"]
    assert made["forward.csv"].count("as it is,grid,") == sum(len(cell["ms"]) for cell in cells)


def test_the_page_is_two_screens_of_answers(page: ModuleType) -> None:
    text = page.page()
    assert len(text.splitlines()) <= 120
    assert all(table.count("\n") <= 14 for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)), "12 rows at most"
    assert not re.search(r"\b(asked|reached|at least)\b", text)


@pytest.mark.parametrize("name", sorted(path.stem for path in RESULTS.glob("*.json")))
def test_figures_say_where_they_are_from(name: str) -> None:
    content = figures(name)
    assert content["machine"].keys() >= {"cpu", "cores", "device"}
    assert {"python", "torch", "lstm-lm"} <= content["versions"].keys()
    assert content["date"]
    assert (ROOT / "benchmarks" / f"{name.split('-')[0]}.py").exists()  # forward-cuda: what forward.py gave on a GPU


@pytest.mark.parametrize(
    "command",
    [
        ["generation.py", "--rounds", "1", "--tokens", "20"],
        pytest.param(["dropout.py", "--rounds", "1"], marks=pytest.mark.matrix),
        pytest.param(
            ["overhead.py", "--rounds", "1", "--steps", "14", "--shapes", "default"], marks=pytest.mark.matrix
        ),
        pytest.param(["startup.py", "--rounds", "1", "--before", str(ROOT)], marks=pytest.mark.matrix),
    ],
    ids=lambda command: command[0],
)
def test_a_script_runs_and_writes_its_figures(command: list[str], tmp_path: Path) -> None:
    name, *arguments = command
    written = run(tmp_path / "out.json", name, *arguments)
    assert written["benchmark"] == Path(name).stem
    assert written.keys() == figures(Path(name).stem).keys()


@pytest.mark.matrix
def test_the_evaluation_script_runs_on_any_run(small_config: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=2"), tmp_path / "run")
    written = run(tmp_path / "out.json", "evaluation.py", str(tmp_path / "run"), "--rounds", "1")
    assert written.keys() == figures("evaluation").keys()


@pytest.mark.matrix
def test_strategies_are_compared_shown_and_drawn(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(RESULTS, results)
    written = run(results / "forward.json", "forward.py", "--grid", "tiny", "--rounds", "1")

    cells = written["grid"]["cells"]
    assert {(cell["kind"], cell["mode"]) for cell in cells} == set(
        product(script("forward").kinds_of(torch.device("cpu")), ("inference", "training"))
    )
    for cell in cells:
        assert {*cell["speed_of_vendor"], *cell.get("refused", {})} == set(names("lstm_lm.forward.strategies"))
        assert {cell["best"], cell["auto"]} <= cell["speed_of_vendor"].keys() <= cell["ms"].keys()
    rows = written["custom_cells"]["rows"]
    assert "stepwise" in rows[0]["times_the_vendors"]

    drawn = {path.name for path in script("plots").draw_all(results, tmp_path / "images")}
    assert {"forward.png", "pipelined.png"} <= drawn
    assert "as it is,grid,float32,training," in script("tables").tables(results)["forward.csv"]


@pytest.mark.matrix
def test_sections_that_are_not_measured_again_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "forward.json"
    before = run(out, "forward.py", "--grid", "tiny", "--rounds", "1", "--sections", "scaling")
    after = run(out, "forward.py", "--grid", "tiny", "--rounds", "1", "--sections", "held_out")
    assert after["scaling"] == before["scaling"]
    assert "held_out" in after


@pytest.mark.matrix
def test_a_whole_step_is_compared_with_todays_loop_shown_and_drawn(
    script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    results = tmp_path / "results"
    shutil.copytree(RESULTS, results)
    shape = "small: L=1 H=128 B=16 T=32"
    contenders = ("ours, float32", "application")
    arguments = ("--rounds", "1", "--steps", "2", "--shapes", shape, "--contenders", *contenders)
    written = run(results / "training.json", "training.py", *arguments)["shapes"][shape]

    assert written["refused"] == {}
    assert written["contenders"].keys() == {"today", *contenders}
    assert written["speed_of_today"].keys() == set(contenders)
    losses = [contender["loss"] for contender in written["contenders"].values()]
    assert max(losses) - min(losses) < 0.5  # of about 4: the same work
    assert written["contenders"]["application"]["loss"] == pytest.approx(losses[1], abs=0.02)

    assert "training.png" in {path.name for path in script("plots").draw_all(results, tmp_path / "images")}
    assert f'as it is,{shape},"ours, float32"' in script("tables").tables(results)["training.csv"]


@pytest.mark.skipif("pipelined" not in names("lstm_lm.forward.strategies"), reason="there is nothing to trace yet")
def test_a_trace_shows_the_cells_of_both_passes(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    written = run(tmp_path / "timeline.json", "timeline.py", "--sizes", "3", "8", "2", "12")
    directions = [dict(zip(written["columns"], cell, strict=True))["direction"] for cell in written["cells"]]
    assert directions.count("forward") == directions.count("backward") >= 3
    assert [path.name for path in script("plots").draw_all(tmp_path, tmp_path)] == ["pipeline.png"]


def test_cells_overlap_only_where_two_layers_run_at_once(script: Callable[[str], ModuleType]) -> None:
    timeline = script("timeline")
    bars = [timeline.Bar("forward", 0, 0, 0, 0.0, 2.0), timeline.Bar("forward", 0, 1, 0, 2.0, 2.0)]
    assert timeline.overlap(bars) == 0.0
    assert timeline.overlap([*bars, timeline.Bar("forward", 1, 0, 1, 2.0, 1.0)]) == 0.25


def test_contenders_take_turns_in_an_order_that_moves_on(
    script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = script("rounds")
    monkeypatch.setattr(rounds, "TURN_SECONDS", 0.0)
    calls: list[str] = []
    contenders = [rounds.Contender(name, lambda name=name: calls.append(name), threads=1) for name in "abc"]
    turns = rounds.take_turns(contenders, torch.device("cpu"), 3)
    assert "".join(calls).endswith("abc" + "bca" + "cab")
    assert {name: len(values) for name, values in turns.seconds.items()} == {"a": 3, "b": 3, "c": 3}


def test_a_ratio_is_that_of_each_round(script: Callable[[str], ModuleType]) -> None:
    turns = script("rounds").Turns({"fast": [1.0, 2.0, 3.0], "slow": [2.0, 8.0, 3.0]})
    assert turns.speed("fast", "slow") == {"median": 2.0, "lowest": 1.0, "highest": 4.0}


def test_break_even_is_the_smallest_batch_from_which_the_vendor_stays_ahead(
    script: Callable[[str], ModuleType],
) -> None:
    def cell(batch: int, pipelined: float, stepwise: float) -> dict[str, Any]:
        ms = {"nn.LSTM": 1.0, "fused": 1.0, "pipelined": pipelined, "stepwise": stepwise}
        return {"kind": "float32", "mode": "training", "layers": 8, "hidden": 128, "steps": 9, "batch": batch, "ms": ms}

    cells = [cell(1, 1.1, 2.0), cell(4, 0.8, 2.0), cell(16, 1.2, 2.0), cell(64, 1.3, 2.0)]
    (row,) = script("forward_grid").break_even(cells)
    assert row["from_batch"] == {"pipelined": 16, "stepwise": 1}
    (row,) = script("forward_grid").break_even([cell(1, 0.9, 2.0)])
    assert row["from_batch"]["pipelined"] is None


def test_held_out_shapes_are_none_of_the_grids(script: Callable[[str], ModuleType]) -> None:
    shapes = script("shapes")
    grid = {case.shape for case in shapes.grid_cases("full", ("float32",))}
    held_out = {case.shape for case in shapes.held_out_cases("full", ("float32",))}
    assert len(held_out) == 40
    assert not grid & held_out


def test_the_bare_loop_takes_the_applications_steps(
    script: Callable[[str], ModuleType], small_config: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """What the application is compared with does the same: here with dropout, accumulated windows and clipping."""
    config = small_config(
        "model.num_layers=2",
        "model.dropout=0.3",
        "trainer.accumulate_grad_batches=2",
        "trainer.gradient_clip_val=0.1",
        "trainer.max_steps=3",
    )
    lstm_lm.train(config, tmp_path / "run")
    checked = TrainConfig.parse(config)
    parts = build(Plan.new(checked))
    steps = script("bare_loop").training_steps(checked, parts)
    for _ in range(3):
        next(steps)
    trained = checkpoint_file.load(RunDirectory(tmp_path / "run").last)["state_dict"]
    for name, tensor in parts.model.state_dict().items():
        assert torch.equal(trained[f"model.{name}"], tensor), name


def test_the_fit_of_the_rule_finds_constants_that_were_planted(
    script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And what each text has of entropy by itself."""
    from dataclasses import replace

    from lstm_lm.training.tuning.rule import CONSTANTS

    fitting = script("budget_fit")
    monkeypatch.setattr(fitting, "TRIES", 3)
    planted = replace(CONSTANTS, capacity=25.0, data_power=0.4, overfit=0.01)
    grids = []
    for tokens, entropy in zip((90_000, 1_000_000), (1.0, 1.3), strict=True):
        cells = product((50_000, 400_000, 3_000_000), (1, 10, 60), (0.0, 0.3))
        runs = [
            dict(zip(("parameters", "passes", "dropout"), cell, strict=True)) | {"tokens": tokens} for cell in cells
        ]
        grids.append([run | {"loss": entropy + fitting.predicted(run, planted)} for run in runs])
    found = fitting.fit(grids)
    assert found.error < 0.005
    off = [fitting.predicted(run, found.constants) - fitting.predicted(run, planted) for run in grids[1]]
    assert max(map(abs, off)) < 0.1
