"""Runs with an average of the weights: it is what is validated, kept, loaded; training and resuming take no harm."""

import io
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tiers import first

import lstm_lm
from lstm_lm.data.module import TextDataModule
from lstm_lm.data.streams import Batch
from lstm_lm.errors import Interrupted, UserError
from lstm_lm.models.weights import model_weights
from lstm_lm.runs import checkpoint_file, metrics_file
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.module import LanguageModelTask

Config = Callable[..., dict[str, Any]]

EMA = ("averaging=ema", "averaging.decay=0.9", "averaging.start_step=10")
ASGD = (
    "averaging=asgd",
    "averaging.non_monotone=1",
    "optimizer=sgd",
    "optimizer.lr=20",
    "trainer.val_check_interval=9",
)
"""At this learning rate, validation gets worse now and then."""
TWO_EPOCHS = ("trainer.max_epochs=2", "scheduler=constant", "model.dropout=0.3", "model.tie_weights=true")
TIED = ("model.embedding_size=16", "model.weight_drop=0.2")


def last(run: Path) -> dict[str, Any]:
    return checkpoint_file.load(run / "checkpoints" / "last.ckpt")


def trained(run: Path) -> dict[str, Any]:
    """All weights, averages, and the average's own state, after the last step."""
    checkpoint = last(run)
    averaging = {key: value for key, value in checkpoint["lstm_lm"]["averaging"].items() if key != "options"}
    return {"weights": checkpoint["state_dict"], "averaging": averaging}


def validations(run: Path) -> dict[int, float]:
    return {int(row["step"]): row["val/loss"] for row in metrics_file.read(run / "metrics.csv") if row.get("val/loss")}


@pytest.fixture
def config(small_config: Config) -> Config:
    return lambda *overrides: small_config(*TWO_EPOCHS, *TIED, *overrides)


@pytest.mark.parametrize(
    ("how", "stops"),
    [
        pytest.param(EMA, [18], id="ema"),
        pytest.param(EMA, [5, 43, 60], id="ema elsewhere", marks=pytest.mark.matrix),
        pytest.param(ASGD, [5, 18, 43, 60], id="asgd", marks=pytest.mark.matrix),
    ],
)
def test_a_resumed_run_ends_with_the_very_weights_and_average_of_the_whole_run(
    how: tuple[str, ...], stops: list[int], config: Config, tmp_path: Path
) -> None:
    """43 steps are an epoch here. Within one, at its end, and with a validation due: every 9 steps with asgd."""
    lstm_lm.train(config(*how), tmp_path / "whole")
    assert trained(tmp_path / "whole")["averaging"]["count"] > 0
    for stop in stops:
        parts = tmp_path / str(stop)
        lstm_lm.train(config(*how, f"trainer.max_steps={stop}"), parts)
        lstm_lm.train(config(*how, "resume=auto"), parts)
        torch.testing.assert_close(trained(parts), trained(tmp_path / "whole"), rtol=0, atol=0)


def first_setback(run: Path) -> tuple[int, int]:
    """The step of the first validation that is worse than the one before, and that one's; rounding decides which."""
    losses = sorted(validations(run).items())
    return next((step, before) for (before, best), (step, loss) in pairwise(losses) if loss > best)


@pytest.mark.parametrize(
    ("how", "stop"),
    [
        pytest.param(EMA, 43, id="at an epoch's end"),
        pytest.param(EMA, 70, id="after training", marks=pytest.mark.matrix),
        pytest.param(ASGD, None, id="within an epoch", marks=pytest.mark.matrix),
    ],
)
def test_continued_from_the_best_it_takes_the_same_steps(
    how: tuple[str, ...], stop: int | None, config: Config, tmp_path: Path
) -> None:
    lstm_lm.train(config(*how), tmp_path / "whole")
    stop, best = (stop, stop) if stop is not None else first_setback(tmp_path / "whole")
    assert how is EMA or best % 43
    lstm_lm.train(config(*how, f"trainer.max_steps={stop}"), tmp_path / "parts")
    assert checkpoint_file.load(tmp_path / "parts" / "checkpoints" / "best.ckpt")["global_step"] == best
    lstm_lm.train(config(*how) | {"ckpt_path": "best"}, tmp_path / "parts")
    torch.testing.assert_close(trained(tmp_path / "parts"), trained(tmp_path / "whole"), rtol=0, atol=0)


@pytest.mark.parametrize("stop", first([5, 22]))
def test_random_window_lengths_and_all_that_regularises_resume_exactly(
    stop: int, config: Config, tmp_path: Path
) -> None:
    every: tuple[str, ...] = (*EMA, "data.window_lengths=random", "trainer.accumulate_grad_batches=2")
    penalties = ("label_smoothing=0.1", "activation_regularisation=2", "temporal_activation_regularisation=1")
    every += tuple(f"objective.{penalty}" for penalty in penalties)
    assert lstm_lm.train(config(*every), tmp_path / "whole").train.steps == 44
    parts = tmp_path / "parts"
    lstm_lm.train(config(*every, f"trainer.max_steps={stop}"), parts)
    lstm_lm.train(config(*every, "resume=auto"), parts)
    torch.testing.assert_close(trained(parts), trained(tmp_path / "whole"), rtol=0, atol=0)


def test_a_validation_that_was_interrupted_is_made_up_for(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At step 27, so that what averaging knows of the losses is whole."""
    lstm_lm.train(config(*ASGD), tmp_path / "whole")
    original = LanguageModelTask.validation_step

    def interrupted(self: LanguageModelTask, batch: Batch, batch_idx: int) -> None:
        if self.global_step == 27:
            raise Interrupted(2)
        original(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(LanguageModelTask, "validation_step", interrupted)
        with pytest.raises(Interrupted):
            lstm_lm.train(config(*ASGD), tmp_path / "parts")
    assert last(tmp_path / "parts")["global_step"] == 27
    lstm_lm.train(config(*ASGD, "resume=auto"), tmp_path / "parts")
    torch.testing.assert_close(trained(tmp_path / "parts"), trained(tmp_path / "whole"), rtol=0, atol=0)
    assert validations(tmp_path / "parts") == validations(tmp_path / "whole")


def test_training_takes_the_same_steps_with_an_average(config: Config, tmp_path: Path) -> None:
    lstm_lm.train(config("trainer.max_steps=20"), tmp_path / "without")
    lstm_lm.train(config(*EMA, "trainer.max_steps=20"), tmp_path / "with")
    torch.testing.assert_close(
        trained(tmp_path / "with")["weights"], trained(tmp_path / "without")["weights"], rtol=0, atol=0
    )


def loss_of(model: Any, config: dict[str, Any]) -> float:
    """Of the validation split, nats a token."""
    data = TextDataModule(config["data"], config["tokenizer"], 1)
    data.prepare()
    nats, tokens, state = 0.0, 0, None
    with torch.inference_mode():
        for batch in data.val_dataloader():
            logits, state = model(batch.inputs, model.initial_state(batch.inputs.shape[1]) if batch.fresh else state)
            nats += torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), batch.targets.flatten(), reduction="sum"
            ).item()
            tokens += int((batch.targets >= 0).sum())
    return nats / tokens


def test_the_average_is_what_is_scored_loaded_and_started_from(config: Config, tmp_path: Path) -> None:
    run = tmp_path / "run"
    summary = lstm_lm.train(config(*EMA), run)
    best = checkpoint_file.load(run / "checkpoints" / "best.ckpt")
    assert summary.val is not None
    assert best["lstm_lm"]["validation"]["loss"] == summary.val.loss
    model, _ = lstm_lm.load(run)
    torch.testing.assert_close(model.state_dict(), model_weights(best), rtol=0, atol=0)
    average = best["lstm_lm"]["averaging"]["weights"]
    assert torch.equal(model.get_parameter("head.weight"), average["embedding.weight"])
    assert not torch.equal(average["embedding.weight"], best["state_dict"]["model.embedding.weight"])
    assert loss_of(model, config()) == pytest.approx(summary.val.loss, rel=1e-6)
    lstm_lm.train(config("optimizer.lr=1e-12", "trainer.max_steps=1") | {"init_from": str(run)}, tmp_path / "tuned")
    tuned = last(tmp_path / "tuned")["state_dict"]
    torch.testing.assert_close(tuned["model.head.weight"], average["head.weight"], rtol=0, atol=1e-9)


def test_another_average_begins_anew_where_that_is_forced(config: Config, tmp_path: Path) -> None:
    lstm_lm.train(config(*EMA, "trainer.max_steps=20"), tmp_path / "run")
    with pytest.raises(UserError, match=r"averaging\.decay: 0\.9 then, 0\.5 now"):
        lstm_lm.train(config(*EMA, "averaging.decay=0.5", "resume=auto"), tmp_path / "run")
    forced = config(*EMA, "averaging.decay=0.5", "averaging.start_step=0", "trainer.max_steps=25", "resume=force")
    lstm_lm.train(forced, tmp_path / "run")
    assert trained(tmp_path / "run")["averaging"]["count"] == 5


@pytest.mark.parametrize("various", ["data.window_lengths=random", "data.unit=line", "data.unit=document"])
def test_graphs_that_serve_one_length_are_refused_with_various_ones(various: str, config: Config) -> None:
    with pytest.raises(UserError, match=f"compile=reduce-overhead: with {various} each length"):
        TrainConfig.parse(config("compile=reduce-overhead", various))


@pytest.mark.parametrize(("how", "told"), [(ASGD[:2], True), (("averaging=ema",), False), ((), False)])
def test_an_average_that_has_not_begun_is_told(
    how: tuple[str, ...], told: bool, config: Config, tmp_path: Path
) -> None:
    """ASGD needs a validation to get worse, and there is but one."""
    console = Console(file=io.StringIO(), width=200)
    lstm_lm.train(config(*how, "trainer.max_steps=2"), tmp_path / "run", console=console)
    assert ("has not begun" in console.file.getvalue()) is told  # type: ignore[attr-defined]
