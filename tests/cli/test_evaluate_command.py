"""`evaluate`: a table, and the run's evaluation.json and picture."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_commands import ROOT, Here

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.runs import checkpoint_file


@pytest.fixture
def run(trained: Path) -> Path:
    """A copy of a run below outputs/ of the current directory."""
    [source] = (trained / "outputs").iterdir()
    copy = Path("outputs") / "a run's (1)"
    shutil.copytree(source, copy)
    return copy


def sections(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "evaluation.json").read_text())
    return content


def test_static_agrees_with_what_training_found(run: Path, here: Here) -> None:
    said = here("evaluate", f"run={run}", "device=cpu")
    assert said.status == 0, said.err
    section = sections(run)["static"]
    summary = json.loads((run / "summary.json").read_text())
    scores = section["splits"]["validation"]
    assert scores["loss"] == pytest.approx(summary["val"]["loss"], abs=1e-6)
    for key in ("perplexity", "bits_per_character", "bits_per_byte"):
        assert scores[key] == pytest.approx(summary["val"][key], rel=1e-6)
    assert list(section["splits"]) == ["train", "validation"]
    assert section["schema_version"] == 1
    assert section["precision"] == "32-true"
    assert section["forward"] == "fused"
    assert section["device"] == "cpu"
    assert section["command"].startswith("lstm-lm evaluate ")
    digest = checkpoint_file.load_with_digest(run / "checkpoints" / "best.ckpt")[1]
    assert section["checkpoint"] == {"file": "best.ckpt", "sha256": digest}
    assert section["data"]["splits"]["validation"]["tokens"] == scores["tokens"] + 1
    assert (run / "evaluation-static.png").read_bytes().startswith(b"\x89PNG")
    assert f"{summary['val']['loss']:.4f}" in said.out
    assert "best.ckpt" in said.err


@pytest.mark.parametrize("how", ["forward=stepwise", "precision=64-true", "precision=bf16-mixed", "ckpt_path=last"])
def test_how_it_runs_is_honoured_and_said(how: str, run: Path, here: Here) -> None:
    said = here("evaluate", f"run={run}", "device=cpu", "method.limit_windows=2", "runtime.threads=1", how)
    assert said.status == 0, said.err
    section = sections(run)["static"]
    value = how.partition("=")[2]
    assert value in (section["forward"], section["precision"], section["checkpoint"]["file"].removesuffix(".ckpt"))
    assert section["threads"] == 1
    assert "1 thread, " in said.out
    assert "validation: scored 2 of " in said.out
    assert ("computes in" in said.out) == ("computes in" in section["forward_reason"])


def test_every_method_has_a_section_and_a_picture_of_its_own(run: Path, here: Here) -> None:
    small = ["method.step_sizes=[1e-4,1e-3]", "method.statistics_segments=5", "method.tuning_tokens=100"]
    assert here("evaluate", f"run={run}", "device=cpu").status == 0
    context = here("evaluate", f"run={run}", "device=cpu", "method=context", "method.positions=20")
    assert context.status == 0, context.err
    assert "effective context: " in context.out
    dynamic = here("evaluate", f"run={run}", "device=cpu", "method=dynamic", "method.segment_length=8", *small)
    assert dynamic.status == 0, dynamic.err
    assert "gain" in dynamic.out
    found = sections(run)
    assert list(found) == ["static", "context", "dynamic"]
    for method in found:
        assert (run / f"evaluation-{method}.png").stat().st_size > 1000
    assert [point["length"] for point in found["context"]["curve"]] == [1, 2, 4, 8, 16, 32]
    assert found["dynamic"]["static_loss"] == pytest.approx(found["static"]["splits"]["validation"]["loss"], abs=1e-6)
    assert len(found["dynamic"]["chosen_on"]["grid"]) == 7


def test_another_text_in_the_runs_tokens(run: Path, here: Here, tmp_path: Path) -> None:
    other = tmp_path / "what's this, [1].txt"
    other.write_text("a lazy fox\n" * 30, encoding="utf-8")
    for typed in ([f"data.path={other}"], ["data=text", f"data.path={other}", f"data.cache_dir={tmp_path}"]):
        said = here("evaluate", f"run={run}", "device=cpu", *typed)
        assert said.status == 0, said.err
        section = sections(run)["static"]
        assert section["data"]["path"] == str(other)
        assert section["splits"]["test"]["tokens"] == 329, "all but the first"
        assert list(section["splits"]) == ["test"]


def test_another_text_has_a_curve_over_context_and_needs_a_cut_to_learn_from(
    run: Path, here: Here, tmp_path: Path
) -> None:
    (tmp_path / "other.txt").write_text("a lazy fox\n" * 30, encoding="utf-8")
    typed = [f"run={run}", "device=cpu", f"data.path={tmp_path / 'other.txt'}"]
    said = here("evaluate", *typed, "method=context", "method.positions=20")
    assert said.status == 0, said.err
    assert sections(run)["context"]["split"] == "test"
    assert "data.validation_fraction" in here("evaluate", *typed, "method=dynamic").refused()


def test_unknown_characters_are_told_or_skipped(run: Path, here: Here, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("the lazy dög läps\n" * 20, encoding="utf-8")
    typed = ["evaluate", f"run={run}", "device=cpu", f"data.path={tmp_path / 'other.txt'}"]
    told = here(*typed)
    assert told.status == 2
    for words in ("'ö' (U+00F6)", "'ä' (U+00E4)", "data.unknown=skip", "40 such places"):
        assert words in told.err
    assert len(told.err.splitlines()) <= 4
    said = here(*typed, "data.unknown=skip")
    assert said.status == 0, said.err
    scores = sections(run)["static"]["splits"]["test"]
    assert scores["bits_per_byte"] is None
    assert "unknown to the tokenizer" in said.out


def test_a_run_that_is_still_training_is_evaluated_as_far_as_it_is(run: Path, here: Here) -> None:
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps({**summary, "status": "running"}))
    said = here("evaluate", f"run={run}", "device=cpu", "method.splits=[validation]")
    assert said.status == 0
    assert "best.ckpt: its run has not ended" in said.err


def test_a_checkpoint_outside_of_a_run_is_only_told_about(run: Path, here: Here, tmp_path: Path) -> None:
    lonely = tmp_path / "lonely.ckpt"
    shutil.copy(run / "checkpoints" / "best.ckpt", lonely)
    said = here("evaluate", f"ckpt_path={lonely}", "device=cpu")
    assert said.status == 0
    assert "validation" in said.out
    assert "not kept" in said.err
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["lonely.ckpt"]


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["run=nowhere"], ["run=nowhere"]),
        (["method=magic"], ["method=magic: no such option", "static"]),
        (["method.bloks=3"], ["method.bloks: no such key", "method.blocks"]),
        (["method.blocks=3"], ["method.blocks=3", "greater than or equal to 10"]),
        (["method.splits=[tset]"], ["method.splits", "'test'"]),
        (["method.splits=[test]"], ["no test split", "train, validation"]),
        (["data=text", "data.path=nowhere.txt"], ["nowhere.txt"]),
        (["data.eval_batch_size=0"], ["data.eval_batch_size=0"]),
        (["device=tpu"], ["device=tpu"]),
        (["forward=magic"], ["forward=magic"]),
        (["runtime.threads=0"], ["runtime.threads=0"]),
        (["method=context", "method.lengths=[4,5000]"], ["5000", "too long for the validation text"]),
        (["method=dynamic", "method.decays=[2]"], ["method.decays", "less than or equal to 1"]),
        (["method=dynamic", "precision=bf16-true"], ["lost in 16 bits", "32-true"]),
        (["-m", "method=static,context"], ["no sweeps"]),
    ],
)
def test_what_is_wrong_is_told_in_a_few_lines(typed: list[str], told: list[str], run: Path, here: Here) -> None:
    said = here("evaluate", "device=cpu", *([] if "run=" in typed[0] else [f"run={run}"]), *typed)
    message = said.refused()
    for words in told:
        assert words in message
    assert said.out == ""
    assert not (run / "evaluation.json").exists()


def test_a_run_without_a_checkpoint(run: Path, here: Here) -> None:
    shutil.rmtree(run / "checkpoints")
    assert "no checkpoint there" in here("evaluate", f"run={run}").refused()


def test_a_damaged_file_of_evaluations_is_found_before_the_work(run: Path, here: Here) -> None:
    (run / "evaluation.json").write_text("{")
    said = here("evaluate", f"run={run}", "device=cpu")
    assert "move it away" in said.refused()
    assert said.out == ""


def test_the_same_from_python(run: Path) -> None:
    section = lstm_lm.evaluate(run, splits=["validation"], device="cpu")
    assert sections(run)["static"]["splits"]["validation"]["loss"] == section["splits"]["validation"]["loss"]
    loaded = lstm_lm.load(run)
    again = lstm_lm.evaluate(loaded, "static", data={"eval_batch_size": 1}, save=False)
    assert again["splits"]["validation"]["windows"]["batch_size"] == 1
    with pytest.raises(UserError, match="no key 'splitz'"):
        lstm_lm.evaluate(loaded, splitz=["test"])


@pytest.mark.matrix
def test_in_a_process_of_its_own(run: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lstm_lm", "evaluate", "device=cpu"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "validation" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert "static" in sections(run)
