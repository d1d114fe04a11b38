"""docs/studies.md is made from the kept figures of studies, and what people have written about them."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
from matplotlib.figure import Figure

from lstm_lm.sweeps.page import find_report

ROOT = Path(__file__).resolve().parents[1]
REPORT = """# Batch size, device and kernel (small)

From which batch size on?

|  |  |
| --- | --- |
| trained | text made_up |
| machine | a made-up one |
"""
SCREEN = 40
"""Lines."""


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("studies_page")


def test_the_page_is_made_from_what_is_kept(page: ModuleType) -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.page()


def test_each_study_has_a_screen_with_its_question_answer_picture_and_command(page: ModuleType) -> None:
    _, *studies = page.page().split("\n## ")
    assert len(studies) == len(page.ORDER)
    for name, study in zip(page.ORDER, studies, strict=True):
        assert len(study.splitlines()) <= SCREEN
        question, *_ = study.splitlines()
        assert question.endswith("?")
        assert f"(images/studies/{name}.png)" in study
        assert f"python train.py -m study={name}\n" in study


def test_every_study_has_its_place_in_the_page(page: ModuleType) -> None:
    from lstm_lm.cli.hydra.conf import options_of

    assert set(page.ORDER) == set(options_of("study"))
    assert set(page.read_meanings(page.MEANING)) == set(page.ORDER)


def test_kept_figures_give_the_ratios_that_were_concluded(page: ModuleType) -> None:
    """bfloat16 against float32: 2.77 times as fast, within 1.57 and 3.96, as the study's report said."""
    results = page.kept_studies.read(page.RESULTS / "precision_compile.csv", "small")
    [row] = [row for row in results.plan.rows if row.settings == {"precision": "bf16-mixed", "compile": "none"}]
    ratio = results.ratio(row, "float32", "train.tokens_per_second")
    assert ratio is not None
    assert (round(ratio.median, 2), round(ratio.low or 0, 2), round(ratio.high or 0, 2)) == (2.77, 1.57, 3.96)


def test_every_study_can_be_drawn_from_what_is_kept(page: ModuleType) -> None:
    for name in page.ORDER:
        pictures = find_report(name).plots(page.kept_studies.read(page.RESULTS / f"{name}.csv", "small"))
        assert isinstance(pictures[page.PICTURES.get(name, name)], Figure)


def test_a_study_that_was_run_again_is_kept(page: ModuleType, tmp_path: Path) -> None:
    folder, results = tmp_path / "outputs" / "batch_device" / "small", tmp_path / "results"
    folder.mkdir(parents=True)
    results.mkdir()
    (folder / "report.md").write_text(REPORT, encoding="utf-8")
    (folder / "results.csv").write_text("row,status\na,completed\n", encoding="utf-8")
    (results / "about.json").write_text('{"tuning": {"machine": "another"}}', encoding="utf-8")
    page.keep(tmp_path / "outputs", "small", results)
    assert (results / "batch_device.csv").read_text(encoding="utf-8") == "row,status\na,completed\n"
    about = json.loads((results / "about.json").read_text(encoding="utf-8"))
    assert about["batch_device"] == {"trained": "text made_up", "machine": "a made-up one"}
    assert about["tuning"] == {"machine": "another"}
