"""`train`, end to end on a small text: what it leaves behind, and that nothing is lost or changed by how it runs."""

import io
import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forked
import pytest
import torch
from rich.console import Console
from tiers import smallest

import lstm_lm
from lstm_lm.data.module import TextDataModule
from lstm_lm.data.streams import Batch
from lstm_lm.errors import Interrupted, RunError, UserError
from lstm_lm.runs import checkpoint_file, metrics_file
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.origin import as_typed

Config = Callable[..., dict[str, Any]]


def losses(run: Path) -> dict[int, float]:
    """Training loss of each step, as metrics.csv has it."""
    rows = metrics_file.read(run / "metrics.csv")
    return {int(row["step"]): row["train/loss"] for row in rows if row.get("train/loss") is not None}


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = checkpoint_file.load(run / "checkpoints" / "last.ckpt")["state_dict"]
    return state


def test_a_run_leaves_what_the_contract_promises(small_config: Config, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    summary = lstm_lm.train(small_config("data.test_fraction=0.1"), run.path, command="typed")
    written = json.loads(run.summary.read_text())
    assert written == json.loads(summary.model_dump_json())
    assert written["status"] == "completed"
    assert written["command"] == "typed"
    steps = written["train"]["steps"]
    assert steps == math.ceil(written["data"]["tokens"] // 4 / 16)
    assert written["train"]["epochs"] == 1
    for split in ("val", "test"):
        scores = written[split]
        assert scores["perplexity"] == pytest.approx(math.exp(scores["loss"]))
        assert scores["bits_per_byte"] == pytest.approx(scores["loss"] / math.log(2))
        assert scores["bits_per_byte_reason"] is None
    assert written["runtime"]["forward"] == "fused"
    assert written["runtime"]["precision"] == "32-true"
    assert written["runtime"]["compile_graphs"] == 0
    assert written["runtime"]["peak_memory_bytes"] > 1e7
    assert written["train"]["tokens_per_second"] > 0
    assert run.best.exists()
    assert run.last.exists()
    assert list(run.tensorboard.glob("events.out.tfevents.*"))
    rows = metrics_file.read(run.metrics)
    assert [row["step"] for row in rows] == list(range(1, steps + 1))
    assert rows[-1]["train/loss"] == pytest.approx(written["train"]["loss"])
    assert rows[-1]["val/loss"] == pytest.approx(written["val"]["loss"])


def test_checkpoints_load_as_plain_data_and_carry_all_that_a_resume_needs(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=3"), tmp_path / "run")
    content = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    ours = content["lstm_lm"]
    assert ours["config"]["model"]["hidden_size"] == 16
    assert ours["tokenizer"]["name"] == "char"
    assert ours["resolved"] == {"device": "cpu", "precision": "32-true", "forward": "fused", "threads": 1}
    assert {"masks", "torch"} <= ours["generators"].keys()
    (h, c), *_ = ours["hidden"]
    assert h.shape == c.shape == (4, 16)
    assert ours["validation"] is None, "the run ended here, and was validated after"


DROPOUTS = ("model.num_layers=2", "model.dropout=0.3")


@pytest.mark.parametrize("stopped_at", smallest([5, 37, 43, 60], 60))
def test_a_resumed_run_takes_the_very_steps_that_the_whole_run_takes(
    stopped_at: int, small_config: Config, tmp_path: Path
) -> None:
    """43 steps are an epoch here: within one, at its end, and within the next."""
    every = ("trainer.max_epochs=2", *DROPOUTS, "scheduler=constant")
    lstm_lm.train(small_config(*every), tmp_path / "whole")
    lstm_lm.train(small_config(*every, f"trainer.max_steps={stopped_at}"), tmp_path / "parts")
    resumed = lstm_lm.train(small_config(*every, "resume=auto"), tmp_path / "parts")
    assert resumed.train.steps == 86
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    for name, tensor in weights(tmp_path / "whole").items():
        assert torch.equal(weights(tmp_path / "parts")[name], tensor), name


def test_resuming_a_finished_run_says_complete_and_changes_nothing(small_config: Config, tmp_path: Path) -> None:
    first = lstm_lm.train(small_config("trainer.max_steps=3"), tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    again = lstm_lm.train(small_config("trainer.max_steps=3", "resume=auto"), tmp_path / "run")
    assert again == first
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_a_directory_with_a_run_is_never_overwritten(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=1"), tmp_path / "run")
    with pytest.raises(UserError, match="resume=auto"):
        lstm_lm.train(small_config("trainer.max_steps=1"), tmp_path / "run")


def test_another_model_is_not_continued_unless_forced(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=1"), tmp_path / "run")
    with pytest.raises(UserError, match=r"optimizer.lr: 0.02 then, 0.001 now") as caught:
        lstm_lm.train(small_config("resume=auto", "trainer.max_steps=2", "optimizer.lr=1e-3"), tmp_path / "run")
    assert str(caught.value).count("\n") <= 3
    forced = small_config("resume=force", "trainer.max_steps=2", "optimizer.lr=1e-3")
    assert lstm_lm.train(forced, tmp_path / "run").train.steps == 2


def test_ckpt_path_continues_a_file_in_another_directory(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=2"), tmp_path / "first")
    config = small_config("trainer.max_steps=4") | {"ckpt_path": str(tmp_path / "first" / "checkpoints" / "last.ckpt")}
    assert lstm_lm.train(config, tmp_path / "second").train.steps == 4
    assert list(losses(tmp_path / "second")) == [3, 4]


def test_ckpt_path_last_of_an_empty_directory_is_refused(small_config: Config, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"last\.ckpt"):
        lstm_lm.train(small_config("ckpt_path=last"), tmp_path / "run")


def test_accumulated_windows_carry_the_state_and_count_as_one_step(small_config: Config, tmp_path: Path) -> None:
    """Two windows a step, with the weights at rest between them: the second starts where the first ended."""
    config = small_config(
        "trainer.accumulate_grad_batches=2", "trainer.max_steps=2", "optimizer=sgd", "optimizer.lr=1e-12"
    )
    summary = lstm_lm.train(config, tmp_path / "two")
    assert summary.train.steps == 2
    lstm_lm.train(small_config("trainer.max_steps=4", "optimizer=sgd", "optimizer.lr=1e-12"), tmp_path / "one")
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert two[1] == pytest.approx((one[1] + one[2]) / 2, abs=1e-6)
    assert two[2] == pytest.approx((one[3] + one[4]) / 2, abs=1e-6)
    (h_one, _), *_ = checkpoint_file.load(tmp_path / "one" / "checkpoints" / "last.ckpt")["lstm_lm"]["hidden"]
    (h_two, _), *_ = checkpoint_file.load(tmp_path / "two" / "checkpoints" / "last.ckpt")["lstm_lm"]["hidden"]
    torch.testing.assert_close(h_one, h_two)


def test_a_run_that_ends_within_an_epoch_is_validated_and_keeps_its_best(small_config: Config, tmp_path: Path) -> None:
    summary = lstm_lm.train(small_config("trainer.max_steps=5"), tmp_path / "run")
    assert summary.val is not None
    assert (tmp_path / "run" / "checkpoints" / "best.ckpt").exists()


def test_early_stopping_ends_a_run_that_gets_no_better(small_config: Config, tmp_path: Path) -> None:
    config = small_config(
        "trainer.max_epochs=50", "callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=10.0"
    )
    summary = lstm_lm.train(config, tmp_path / "run")
    assert (summary.status, summary.reason) == ("stopped", "callbacks.early_stopping")
    assert summary.train.epochs == 2


def test_the_time_limit_ends_a_run_cleanly(small_config: Config, tmp_path: Path) -> None:
    config = small_config("trainer.max_epochs=100000", "trainer.max_time='00:00:00:02'")
    summary = lstm_lm.train(config, tmp_path / "run")
    assert (summary.status, summary.reason) == ("stopped", "trainer.max_time")
    assert summary.val is not None
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()


def test_fine_tuning_starts_from_the_weights_and_the_tokenizer(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config(), tmp_path / "first")
    other = tmp_path / "other.txt"
    other.write_text("a cat and a dog sat on the mat.\n" * 60)
    config = small_config("optimizer.lr=1e-12", "trainer.max_steps=1")
    config = config | {"init_from": str(tmp_path / "first"), "data": config["data"] | {"path": str(other)}}
    told = Console(file=io.StringIO(), width=400)
    lstm_lm.train(config, tmp_path / "second", console=told)
    assert f"from the weights of {tmp_path / 'first'}" in told.file.getvalue()  # type: ignore[attr-defined]
    first, second = (checkpoint_file.load(tmp_path / run / "checkpoints" / "best.ckpt") for run in ("first", "second"))
    assert second["lstm_lm"]["tokenizer"] == first["lstm_lm"]["tokenizer"]
    for name, tensor in first["state_dict"].items():
        torch.testing.assert_close(second["state_dict"][name], tensor, atol=1e-6, rtol=0)
    assert second["global_step"] == 1


def test_fine_tuning_another_shape_says_what_to_type(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=1"), tmp_path / "first")
    config = small_config("model.hidden_size=24") | {"init_from": str(tmp_path / "first")}
    with pytest.raises(UserError, match=r"has embedding\.weight|stack\.weight_ih_l0") as caught:
        lstm_lm.train(config, tmp_path / "second")
    assert str(caught.value).splitlines()[1:] == ["type what that run's model has: model.hidden_size=16"]


def test_the_overrides_that_make_another_model() -> None:
    section = {"name": "lstm", "hidden_size": 64, "dropout": 0.1, "layer_dropout": 0.1, "output_dropout": 0.1}
    wanted = {"name": "lstm", "hidden_size": [64, 32], "dropout": 0.2, "layer_dropout": 0.2, "output_dropout": 0.0}
    assert as_typed(section, section) == ""
    assert as_typed(section, wanted) == "model.hidden_size=[64,32] model.dropout=0.2 model.output_dropout=0.0"
    assert as_typed(section, {"name": "gru", "hidden_size": 64, "layer_norm": False}) == (
        "model=gru model.hidden_size=64 model.layer_norm=false"
    )


def test_a_failed_run_says_so_in_its_summary(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = LanguageModelTask.training_step

    def failing(self: LanguageModelTask, batch: Batch, batch_idx: int) -> torch.Tensor:
        if self.global_step == 2:
            raise RunError("the device has gone away")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(LanguageModelTask, "training_step", failing)
    with pytest.raises(RunError, match="gone away"):
        lstm_lm.train(small_config(), tmp_path / "run")
    written = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert written["status"] == "failed"
    assert "gone away" in written["reason"]
    assert written["train"]["steps"] >= 2
    with pytest.raises(UserError, match="holds a run already"):
        lstm_lm.train(small_config(), tmp_path / "run")


def test_whatever_fails_once_training_has_begun_keeps_the_run(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: Any) -> None:
        raise UserError("best.ckpt: damaged")

    monkeypatch.setattr("lstm_lm.training.control.Control.take_best", damaged)
    with pytest.raises(UserError, match="damaged"):
        lstm_lm.train(small_config("trainer.max_steps=2"), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "failed"
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()


BAD_INPUT: dict[str, tuple[dict[str, Any], str]] = {
    "a missing text": ({"data": {"path": "not there.txt"}}, "not there.txt"),
    "a text that is too short": ({"data": {"batch_size": 4000}}, "too short"),
    "a precision that a CPU has not": ({"trainer": {"precision": "16-mixed"}}, "bf16-mixed"),
    "an interval longer than an epoch": ({"trainer": {"val_check_interval": 99}}, "an epoch has only"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_leaves_nothing_and_the_corrected_run_goes_ahead(
    case: str, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    changes, told = BAD_INPUT[case]
    good = small_config("trainer.max_steps=1")
    bad = good | {section: good[section] | values for section, values in changes.items()}
    for run_dir in (None, here / "runs" / "mine"):
        with pytest.raises(UserError, match=told):
            lstm_lm.train(bad, run_dir)
        assert list(here.iterdir()) == []
    assert lstm_lm.train(good, here / "runs" / "mine").status == "completed"


def test_bad_input_leaves_the_run_that_was_to_be_continued(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=1"), tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    (tmp_path / "small.txt").unlink()
    with pytest.raises(UserError, match=r"small\.txt"):
        lstm_lm.train(small_config("trainer.max_steps=2", "resume=auto"), tmp_path / "run")
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_clipping_bounds_the_gradient_and_its_norm_is_recorded_before(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=2", "trainer.gradient_clip_val=1e-6"), tmp_path / "run")
    rows = metrics_file.read(tmp_path / "run" / "metrics.csv")
    assert all(row["train/gradient_norm"] > 1e-3 for row in rows[:2])


def test_a_run_that_diverges_stops_and_keeps_no_best(small_config: Config, tmp_path: Path) -> None:
    config = small_config("optimizer=sgd", "optimizer.lr=1e38", "trainer.gradient_clip_val=null", "trainer.max_steps=9")
    with pytest.raises(RunError, match=r"step \d: the (loss|gradient) is not a finite number"):
        lstm_lm.train(config, tmp_path / "run")
    written = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert written["status"] == "failed"
    assert not (tmp_path / "run" / "checkpoints" / "best.ckpt").exists()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true", "64-true"])
def test_the_validation_loss_is_the_sum_over_all_tokens_in_every_precision(
    precision: str, small_config: Config, tmp_path: Path
) -> None:
    """Against the best checkpoint's weights in float64, one token after the other: nothing may round away."""
    config = small_config(f"precision={precision}", "data.eval_batch_size=1", "data.seq_len=3", "data.batch_size=16")
    summary = lstm_lm.train(config, tmp_path / "run")
    assert summary.val is not None
    assert summary.val.loss is not None
    model, tokenizer = lstm_lm.load(tmp_path / "run", precision="64-true")
    text = Path(config["data"]["path"]).read_text()
    ids = torch.from_numpy(tokenizer.encode(text[int(len(text) * 0.9) :]).ids)
    with torch.no_grad():
        logits, _ = model(ids[:-1, None], model.initial_state(1))
    exact = torch.nn.functional.cross_entropy(logits[:, 0], ids[1:]).item()
    assert summary.val.loss == pytest.approx(exact, rel=1e-5 if precision in ("32-true", "64-true") else 5e-3)


def test_a_few_windows_again_and_again_are_learnt_by_heart(small_config: Config, tmp_path: Path) -> None:
    few = ("trainer.overfit_batches=1", "trainer.max_epochs=300", "optimizer.lr=1e-2")
    config = small_config(*few, "trainer.log_every_n_steps=100", "trainer.check_val_every_n_epoch=100")
    assert (lstm_lm.train(config, tmp_path / "run").train.loss or 9) < 0.1


def test_early_stopping_within_the_first_epoch_is_reported(small_config: Config, tmp_path: Path) -> None:
    config = small_config(
        "trainer.val_check_interval=5", "callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=9.0"
    )
    summary = lstm_lm.train(config, tmp_path / "run")
    assert (summary.status, summary.train.steps, summary.train.epochs) == ("stopped", 10, 0)
    assert summary.reason == "callbacks.early_stopping"


def test_a_resumed_run_has_the_patience_that_is_asked_for_now(small_config: Config, tmp_path: Path) -> None:
    impatient = ("callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=9.0")
    patient = ("callbacks.early_stopping.patience=50", "callbacks.early_stopping.min_delta=9.0")
    first = lstm_lm.train(small_config("trainer.val_check_interval=5", *impatient), tmp_path / "run")
    assert first.status == "stopped"
    again = small_config("trainer.val_check_interval=5", *patient, "resume=auto", "trainer.max_epochs=2")
    resumed = lstm_lm.train(again, tmp_path / "run")
    assert (resumed.status, resumed.train.steps) == ("completed", 86)


def test_a_run_without_a_limit_of_steps_ends_by_time(small_config: Config, tmp_path: Path) -> None:
    config = small_config("trainer.max_epochs=-1", "trainer.max_time='00:00:00:01'", "scheduler=constant")
    assert lstm_lm.train(config, tmp_path / "run").status == "stopped"


def test_seconds_of_a_resumed_run_are_those_of_all_its_processes(small_config: Config, tmp_path: Path) -> None:
    first = lstm_lm.train(small_config("trainer.max_steps=20"), tmp_path / "run").train.seconds
    second = lstm_lm.train(small_config("trainer.max_steps=21", "resume=auto"), tmp_path / "run").train.seconds
    assert first is not None
    assert second is not None
    assert second > 0.5 * first


def test_fine_tuning_records_the_tokenizer_that_it_really_uses(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=1", "tokenizer=byte"), tmp_path / "first")
    config = small_config("trainer.max_steps=1") | {"init_from": str(tmp_path / "first")}
    lstm_lm.train(config, tmp_path / "second")
    section = checkpoint_file.load(tmp_path / "second" / "checkpoints" / "last.ckpt")["lstm_lm"]
    assert section["tokenizer"]["name"] == section["config"]["tokenizer"]["name"] == "byte"


def test_a_resumed_run_keeps_the_strategy_that_auto_chose(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=1", "forward=stepwise"), tmp_path / "run")
    resumed = lstm_lm.train(small_config("trainer.max_steps=2", "forward=auto", "resume=auto"), tmp_path / "run")
    assert (resumed.runtime.forward, resumed.runtime.forward_reason) == ("stepwise", "as before")


@pytest.mark.parametrize("window", [6, 7, 8])
def test_a_signal_within_a_step_of_several_windows_waits_for_its_end(
    window: int, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the windows of one optimizer step gradients are half summed; a checkpoint there would lose them."""
    several = ("trainer.accumulate_grad_batches=4", "trainer.max_steps=8", *DROPOUTS, "scheduler=constant")
    lstm_lm.train(small_config(*several), tmp_path / "whole")
    taken = 0
    step = LanguageModelTask.training_step

    def interrupted_step(task: LanguageModelTask, *arguments: Any) -> torch.Tensor:
        nonlocal taken
        taken += 1
        if taken == window:
            signal.raise_signal(signal.SIGTERM)
        return step(task, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(LanguageModelTask, "training_step", interrupted_step)
        with pytest.raises(Interrupted) as caught:
            lstm_lm.train(small_config(*several), tmp_path / "parts")
    assert caught.value.exit_status == 143
    lstm_lm.train(small_config(*several, "resume=auto"), tmp_path / "parts")
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    for name, tensor in weights(tmp_path / "whole").items():
        assert torch.equal(weights(tmp_path / "parts")[name], tensor), name


def test_a_signal_while_text_is_read_ends_at_once(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("went on reading")

    monkeypatch.setattr(TextDataModule, "prepare", read)
    with pytest.raises(Interrupted) as caught:
        lstm_lm.train(small_config(), tmp_path / "run")
    assert caught.value.exit_status == 130
    assert not (tmp_path / "run").exists(), "nothing had begun"


def test_the_gradient_norm_is_recorded_without_clipping_too(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=2", "trainer.gradient_clip_val=null"), tmp_path / "run")
    assert all(row["train/gradient_norm"] > 0 for row in metrics_file.read(tmp_path / "run" / "metrics.csv")[:2])


@pytest.mark.parametrize("change", ["seed=7", "scheduler=constant", "trainer.accumulate_grad_batches=2"])
def test_what_decides_the_next_step_is_not_changed_silently(change: str, small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=1"), tmp_path / "run")
    with pytest.raises(UserError, match=change.split("=")[0].replace("scheduler", "scheduler.name")):
        lstm_lm.train(small_config("trainer.max_steps=2", "resume=auto", change), tmp_path / "run")


def test_a_run_beyond_the_limit_that_is_asked_for_now_is_complete(small_config: Config, tmp_path: Path) -> None:
    first = lstm_lm.train(small_config("trainer.max_steps=5"), tmp_path / "run")
    assert lstm_lm.train(small_config("trainer.max_steps=3", "resume=auto"), tmp_path / "run") == first


def test_an_interrupted_run_tells_where_it_stands_and_how_to_go_on(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted_step(task: LanguageModelTask, *arguments: Any) -> torch.Tensor:
        if task.global_step == 45:
            signal.raise_signal(signal.SIGINT)
        return step(task, *arguments)

    step = LanguageModelTask.training_step
    monkeypatch.setattr(LanguageModelTask, "training_step", interrupted_step)
    console = Console(file=io.StringIO(), width=60)
    with pytest.raises(Interrupted):
        lstm_lm.train(small_config("trainer.max_epochs=2"), tmp_path / "run", console=console)
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"interrupted at step 46, saved in\n{tmp_path / 'run' / 'checkpoints' / 'last.ckpt'}\n" in told
    assert f"hydra.run.dir={tmp_path / 'run'} resume=auto\n" in told
    written = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert written["status"] == "interrupted"
    assert written["train"]["loss"] is not None
    assert written["val"]["loss"] is not None


def test_weights_to_start_from_that_no_file_can_hold_are_refused(small_config: Config, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        lstm_lm.train(small_config() | {"init_from": "x" * 5000}, tmp_path / "run")


def test_a_sanity_check_is_no_validation(small_config: Config, tmp_path: Path) -> None:
    """It sees a window or two, so its loss must stand nowhere as the validation's."""
    summary = lstm_lm.train(small_config("trainer.num_sanity_val_steps=1", "trainer.max_steps=2"), tmp_path / "run")
    last, best = (checkpoint_file.load(tmp_path / "run" / "checkpoints" / f"{name}.ckpt") for name in ("last", "best"))
    assert last["lstm_lm"]["validation"] is None
    assert summary.val is not None
    assert best["lstm_lm"]["validation"]["step"] == 2
    assert best["lstm_lm"]["validation"]["loss"] == summary.val.loss
    assert best["lstm_lm"]["validation"]["counts"]["tokens"] == summary.val.tokens == 300


def test_resuming_where_there_is_nothing_says_so(small_config: Config, tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    lstm_lm.train(small_config("trainer.max_steps=1", "resume=auto"), tmp_path / "run", console=console)
    assert "nothing to resume" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [("lstm-lm train a=b", "lstm-lm generate"), ("python -m lstm_lm train", "python -m lstm_lm generate")],
)
def test_the_next_command_is_of_the_kind_that_was_typed(
    typed: str, suggested: str, small_config: Config, tmp_path: Path
) -> None:
    console = Console(file=io.StringIO(), width=40)
    lstm_lm.train(small_config("trainer.max_steps=1"), tmp_path / "run", console=console, command=typed)
    assert f'{suggested} run={tmp_path / "run"} prompt="..."\n' in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_resumed_run_with_no_step_left_keeps_its_best(small_config: Config, tmp_path: Path) -> None:
    """Interrupted in its last validation, say: the weights of the last step are not the best ones."""
    wild = ("optimizer=sgd", "optimizer.lr=30", "trainer.gradient_clip_val=null", "scheduler=constant")
    every = (*wild, "model.init=orthogonal", "trainer.max_steps=30", "trainer.val_check_interval=5")
    first = lstm_lm.train(small_config(*every), tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    best = run.best.read_bytes()
    assert checkpoint_file.load(run.best)["global_step"] < 30
    run.summary.write_text(run.summary.read_text().replace('"completed"', '"interrupted"'))
    resumed = lstm_lm.train(small_config(*every, "resume=auto"), tmp_path / "run")
    assert run.best.read_bytes() == best
    assert resumed.status == "completed"
    assert resumed.val == first.val
    assert resumed.train.loss == first.train.loss


def test_continuing_from_the_best_forgets_what_came_after_it(small_config: Config, tmp_path: Path) -> None:
    every = ("trainer.val_check_interval=5", "trainer.max_steps=20")
    lstm_lm.train(small_config(*every), tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    shorter = checkpoint_file.load(run.best)
    assert shorter["global_step"] == 20
    other = tmp_path / "other"
    lstm_lm.train(small_config("trainer.val_check_interval=5", "trainer.max_steps=10"), other)
    run.best.write_bytes((other / "checkpoints" / "best.ckpt").read_bytes())
    lstm_lm.train(small_config("trainer.val_check_interval=5", "trainer.max_steps=12", "ckpt_path=best"), run.path)
    assert checkpoint_file.load(run.last)["global_step"] == 12
    assert list(losses(run.path)) == list(range(1, 13))


def trained_elsewhere(config: dict[str, Any], run: Path, output: Path) -> tuple[int, str]:
    """Status and words of another process that does the same: a copy of this one, where it can be copied."""
    if forked.THERE:
        copy = forked.start(lambda: lstm_lm.train(config, run), output)
        return copy.wait(), copy.said
    code = "import json, sys, lstm_lm; lstm_lm.train(*json.loads(sys.argv[1]))"
    order = json.dumps([config, str(run)])
    new = subprocess.run([sys.executable, "-c", code, order], capture_output=True, text=True, check=False)
    return new.returncode, new.stderr


def test_a_second_process_does_not_train_in_the_same_directory(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one trains, another is refused, whatever `resume` says, and takes nothing away."""
    config = small_config("trainer.max_steps=3", "resume=auto")
    seen: list[tuple[int, str]] = []

    def meanwhile(task: LanguageModelTask, *arguments: Any) -> torch.Tensor:
        if not seen:
            seen.append(trained_elsewhere(config, tmp_path / "run", tmp_path / "output.log"))
        return step(task, *arguments)

    step = LanguageModelTask.training_step
    monkeypatch.setattr(LanguageModelTask, "training_step", meanwhile)
    lstm_lm.train(config, tmp_path / "run")
    ((status, told),) = seen
    assert status != 0
    assert "another process" in told
    assert "is training there" in told
    assert list(losses(tmp_path / "run")) == [1, 2, 3]
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "completed"
