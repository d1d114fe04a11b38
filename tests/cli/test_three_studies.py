"""The studies of batch sizes, architectures and settings, end to end at a tiny size: real rows, few of them."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_commands import Here, Said

from lstm_lm.cli import study as study_command
from lstm_lm.cli.hydra.compose import compose

pytestmark = pytest.mark.matrix

TINY = [
    "data=text",
    "data.batch_size=2",
    "data.seq_len=8",
    "data.eval_batch_size=2",
    "data.eval_context=0",
    "trainer.max_epochs=-1",
    "trainer.log_every_n_steps=5",
    "precision=32-true",
]


class Run:
    """Runs a study in the current directory, with some of its arms only."""

    def __init__(self, here: Here, patch: pytest.MonkeyPatch, corpus: list[str]) -> None:
        self._here, self._patch, self._corpus = here, patch, corpus

    def __call__(self, name: str, arms: list[str], *lines: str, steps: Any = None, **more_arms: dict[str, Any]) -> Said:
        def with_few_arms(*overrides: str, **how: Any) -> dict[str, Any]:
            config = compose(*overrides, **how)
            if "study" in config:
                study = config["study"]
                study["arms"] = {arm: study["arms"][arm] for arm in arms} | more_arms
                study["steps"] = steps or study["steps"]
            return config

        self._patch.setattr(study_command, "compose", with_few_arms)
        return self._here("train", "-m", f"study={name}", "study.repetitions=1", *TINY, *self._corpus, *lines)


@pytest.fixture
def run(here: Here, monkeypatch: pytest.MonkeyPatch, corpus: list[str]) -> Run:
    return Run(here, monkeypatch, corpus)


def folder(name: str) -> Path:
    return Path("outputs/studies") / name / "small"


def page(name: str) -> str:
    return (folder(name) / "report.md").read_text(encoding="utf-8")


def table(name: str) -> list[dict[str, str]]:
    with (folder(name) / "results.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_architectures(run: Run) -> None:
    """A recurrent and a feed-forward model, by steps: losses, contexts, speeds and samples are those of the runs."""
    said = run(
        "architectures",
        ["lstm_steps", "ffn_steps"],
        *("model.hidden_size=8", "model.embedding_size=4", "trainer.max_steps=12"),
        steps={
            "context": {
                "verb": "evaluate",
                "settings": {"method": "context", "method.positions": 20, "method.lengths": [1, 4, 16]},
                "like_row": ["device"],
            },
            "sampling": {
                "verb": "evaluate",
                "settings": {"method": "sampling", "method.prompt": "the", "method.max_new_tokens": 20},
                "like_row": ["device"],
            },
        },
    )
    assert said.status == 0, said
    rows = table("architectures")
    assert [row["status"] for row in rows] == ["completed"] * 2
    for row in rows:
        [run_folder] = folder("architectures").glob(f"rows/*_{row['row']}/{row['repetition']}")
        evaluation = json.loads((run_folder / "evaluation.json").read_text())
        summary = json.loads((run_folder / "summary.json").read_text())
        assert float(row["val.loss"]) == summary["val"]["loss"]
        assert int(row["evaluation.context.effective_context"]) == evaluation["context"]["effective_context"]
        speed = evaluation["sampling"]["tokens_per_second"]
        assert float(row["evaluation.sampling.tokens_per_second"]) == speed
        assert f"    the{evaluation['sampling']['text']}".splitlines()[0].rstrip() in page("architectures")
    text = page("architectures")
    assert "FFN" in text
    assert "At equal parameters, the same tokens" in text
    pictures = {path.name for path in folder("architectures").glob("*.png")}
    assert pictures == {"architectures_loss.png", "architectures_speed.png", "architectures_context.png"}


def test_tuning(run: Run) -> None:
    """A setting that changes the loss, one that cannot be tried here, and one that nothing looks at."""
    said = run(
        "tuning",
        ["default", "fresh_state", "cudnn_benchmark"],
        *("study.repetitions=2", "model.hidden_size=8", "model.embedding_size=4", "trainer.max_steps=12"),
        idle={"settings": {"runtime.cudnn_benchmark": False}, "sweep": {}},
    )
    assert said.status == 0, said
    rows = table("tuning")
    by_arm = {(row["arm"], row["repetition"]): row for row in rows}
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        skipped = [row for row in rows if row["arm"] == "cudnn_benchmark"]
        assert [row["status"] for row in skipped] == ["skipped", "skipped"]
        assert sorted(float(row["seconds"]) > 0 for row in skipped) == [False, True], "tried once"
        assert "Not measured, because this machine cannot run them: `device=gpu runtime.cudnn_b" in page("tuning")
    for repetition in ("1", "2"):
        default, idle = by_arm["default", repetition], by_arm["idle", repetition]
        assert default["val.loss"] == idle["val.loss"]
        assert by_arm["fresh_state", repetition]["val.loss"] != default["val.loss"]
    if not torch.cuda.is_available():
        assert "`runtime.cudnn_benchmark` means nothing on a CPU" in page("tuning")
    assert (folder("tuning") / "tuning.png").exists()


def test_batch_device(run: Run) -> None:
    """Two batch sizes of the vendor's kernel; a GPU's are skipped where there is none, and the report says so."""
    said = run(
        "batch_device",
        ["vendor"],
        *("model.hidden_size=8", "model.embedding_size=4", "trainer.max_steps=12", "data.batch_size=1,4"),
    )
    assert said.status == 0, said
    found = {row["data.batch_size"]: row for row in table("batch_device") if row["device"] == "cpu"}
    assert {row["status"] for row in found.values()} == {"completed"}
    speeds = [f"{float(found[size]['train.tokens_per_second']):,.0f}" for size in ("1", "4")]
    assert f"| CPU, vendor kernel | {' | '.join(speeds)} |" in page("batch_device")
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        assert "**Skipped: GPU, vendor kernel** (2 batch sizes): " in page("batch_device")
