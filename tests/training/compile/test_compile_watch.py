"""What `compile=` compiles is counted and timed; a run in which it compiles nothing fails."""

import io
import json
from pathlib import Path

import pytest
import torch
from compiled_runs import COMPILED, Config, make_graphs_alone, refusal, settings_of_the_process
from rich.console import Console

import lstm_lm
from lstm_lm.errors import RunError, UserError
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel
from lstm_lm.training.compile.compilation import counts
from lstm_lm.training.module import LanguageModelTask


def test_jobs_of_one_process_that_compile_and_do_not_stay_apart(small_config: Config, tmp_path: Path) -> None:
    """Three epochs of 43 windows, each epoch's last one shorter: all graphs are compiled in the first."""
    before = settings_of_the_process()
    epochs = ("trainer.max_epochs=3", "scheduler=constant")
    screen = io.StringIO()
    eager = lstm_lm.train(small_config(*epochs, "compile=none"), tmp_path / "eager")
    compiled = lstm_lm.train(
        small_config(*epochs, *COMPILED), tmp_path / "compiled", console=Console(file=screen, width=120)
    )
    assert counts().graphs == 6, "three with gradients and, for the validation, three without; T = H as it is"
    again = lstm_lm.train(small_config(*epochs, "compile=none"), tmp_path / "again")
    assert settings_of_the_process() == before

    assert compiled.train.steps == 129
    assert compiled.train.loss == pytest.approx(eager.train.loss, abs=1e-4)
    assert compiled.runtime.compile_graphs == 3, "embedding, head and loss"
    assert compiled.runtime.graph_breaks == 0
    assert compiled.runtime.recompiles == 0
    assert compiled.runtime.compile_seconds is not None
    assert compiled.runtime.compile_seconds > 0
    assert compiled.runtime.compiled_fraction is not None
    assert 0 < compiled.runtime.compiled_fraction < 1, "the stack of layers is not compiled"
    assert "3 graphs, 0 breaks, " in screen.getvalue()
    assert "compiled again" not in screen.getvalue()
    header = (tmp_path / "compiled" / "metrics.csv").read_text().splitlines()[0]
    assert "runtime/compiled_fraction" in header

    assert again.train.loss == eager.train.loss
    for summary in (eager, again):
        runtime = summary.runtime
        assert (runtime.compile_graphs, runtime.graph_breaks, runtime.recompiles) == (0, 0, 0)
        assert (runtime.compile_seconds, runtime.compiled_fraction) == (0, 0)


def test_what_compiles_again_after_the_first_epoch_is_reported(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget(task: LanguageModelTask) -> None:
        if task.current_epoch == 1:
            torch._dynamo.reset()

    make_graphs_alone(monkeypatch)
    monkeypatch.setattr(LanguageModelTask, "on_train_epoch_start", forget)
    screen = io.StringIO()
    config = small_config(*COMPILED, "trainer.max_epochs=2", "trainer.limit_val_batches=0")
    summary = lstm_lm.train(config, tmp_path / "run", console=Console(file=screen, width=120))
    assert summary.runtime.compile_graphs == 3
    assert summary.runtime.recompiles == 3
    assert "epoch 2 compiled again, in training" in screen.getvalue()
    assert "3 compiled again" in screen.getvalue()


def test_a_model_with_nothing_to_compile_is_refused_before_training(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RecurrentLanguageModel, "compilable", ())
    text = refusal(small_config(*COMPILED), tmp_path / "run", UserError)
    assert "no part that torch.compile can take" in text
    assert not (tmp_path / "run").exists()


def test_a_first_step_that_compiles_nothing_ends_the_run(small_config: Config, tmp_path: Path) -> None:
    with torch.compiler.set_stance("force_eager"):
        text = refusal(small_config(*COMPILED), tmp_path / "run", RunError)
    assert "no graph was compiled" in text
    written = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert written["status"] == "failed"
    assert written["runtime"]["compile_graphs"] == 0
