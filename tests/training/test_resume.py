"""Whether a run may begin in a directory; the continuing itself is tested in `test_train.py`."""

import signal
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tiers import first, smallest

import lstm_lm
from lstm_lm.errors import Interrupted, UserError
from lstm_lm.runs import checkpoint_file, code_version, lookup, metrics_file, rotation, summary
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training import identity
from lstm_lm.training import plan as plans
from lstm_lm.training import train as training
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.plan import COMPLETE, Checkpoint, Complete, Plan

Config = Callable[..., dict[str, Any]]


def resumed(config: dict[str, Any], run: Path) -> Checkpoint:
    """What a run in that directory would continue."""
    plan = Plan.read(TrainConfig.parse(config), RunDirectory(run))
    assert isinstance(plan, Plan)
    assert plan.checkpoint is not None
    return plan.checkpoint


def contents(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def two_runs(small_config: Config, tmp_path: Path) -> tuple[Path, Path]:
    """Two finished runs of the same settings."""
    for name in ("one", "two"):
        lstm_lm.train(small_config("trainer.max_steps=1"), tmp_path / name)
    return tmp_path / "one", tmp_path / "two"


@pytest.mark.parametrize("how", smallest(["never", "auto", "force"], "auto"))
def test_a_checkpoint_from_elsewhere_never_begins_over_a_run(
    how: str, two_runs: tuple[Path, Path], small_config: Config
) -> None:
    one, two = two_runs
    before = contents(two)
    config = small_config("trainer.max_steps=3", f"resume={how}") | {"ckpt_path": str(one / "checkpoints/last.ckpt")}
    with pytest.raises(UserError, match="two: holds a run already, and ckpt_path=") as caught:
        lstm_lm.train(config, two)
    assert len(str(caught.value).splitlines()) <= 4
    assert contents(two) == before


@pytest.mark.posix
def test_a_checkpoint_of_the_run_itself_continues_it(
    two_runs: tuple[Path, Path], small_config: Config, tmp_path: Path
) -> None:
    one, _ = two_runs
    config = small_config("trainer.max_steps=3") | {"ckpt_path": str(one / "checkpoints" / "last.ckpt")}
    assert resumed(config, one).path == one / "checkpoints" / "last.ckpt"
    moved = tmp_path / "a larger disk"
    (one / "checkpoints").rename(moved)
    (one / "checkpoints").symlink_to(moved)
    for named in ("last", str(one / "checkpoints" / "last.ckpt"), str(moved / "last.ckpt")):
        assert resumed(config | {"ckpt_path": named}, one).step == 1


def test_a_checkpoint_and_weights_to_start_from_exclude_each_other(small_config: Config, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ckpt_path=last and init_from=x exclude each other"):
        lstm_lm.train(small_config("ckpt_path=last", "init_from=x"), tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"accelerator": "gpu"}, "finds no GPU"),
        ({"precision": "16-mixed"}, "bf16-mixed"),
        ({"devices": [0]}, "how many processes"),
    ],
)
def test_hardware_that_is_not_there_is_refused_early(
    changes: dict[str, Any], told: str, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    config = small_config()
    config["trainer"] |= changes
    with pytest.raises(UserError, match=told):
        lstm_lm.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_complete_run_needs_no_hardware(
    two_runs: tuple[Path, Path], small_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    config = small_config("trainer.max_steps=1", "resume=auto")
    config["trainer"]["accelerator"] = "gpu"
    assert lstm_lm.train(config, two_runs[0]).status == "completed"


def damage(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_continued(small_config: Config, tmp_path: Path) -> None:
    """The run ends as if nothing had happened; the damaged file is still there to be looked at."""
    every = ("callbacks.checkpoint.every_n_steps=2", "model.dropout=0.2", "scheduler=constant")
    lstm_lm.train(small_config("trainer.max_steps=5", *every), tmp_path / "run")
    damage(tmp_path / "run" / "checkpoints" / "last.ckpt")
    config = small_config("trainer.max_steps=8", "resume=auto", *every)
    start = resumed(config, tmp_path / "run")
    assert start.path == tmp_path / "run" / "checkpoints" / "last-1.ckpt"
    assert "last.ckpt: the checkpoint is damaged" in start.passed_over[0]
    told = StringIO()
    lstm_lm.train(config, tmp_path / "run", console=Console(file=told, width=300))
    assert "last.ckpt: the checkpoint is damaged: its content does not match its SHA-256; set aside" in told.getvalue()
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt.damaged").exists()
    lstm_lm.train(small_config("trainer.max_steps=8", *every), tmp_path / "whole")
    run, whole = (metrics_file.read(tmp_path / name / "metrics.csv") for name in ("run", "whole"))
    assert [(row["step"], row["train/loss"]) for row in run] == [(row["step"], row["train/loss"]) for row in whole]


def test_a_refused_resume_sets_nothing_aside(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=5", "callbacks.checkpoint.every_n_steps=2"), tmp_path / "run")
    damage(tmp_path / "run" / "checkpoints" / "last.ckpt")
    before = contents(tmp_path / "run")
    with pytest.raises(UserError, match=r"model\.hidden_size: 16 then, 8 now"):
        lstm_lm.train(small_config("trainer.max_steps=9", "resume=auto", "model.hidden_size=8"), tmp_path / "run")
    assert contents(tmp_path / "run") == before


EVERY_TWO = ("callbacks.checkpoint.every_n_steps=2", "callbacks.checkpoint.keep=3")


@pytest.mark.parametrize("how", ["ckpt_path", "damaged"])
@pytest.mark.parametrize("end", first(["refused", "interrupted"]))
def test_a_resume_that_ends_before_its_first_step_changes_nothing(
    how: str, end: str, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the checkpoints after the one that was to be continued, nor what was logged after it."""
    run = RunDirectory(tmp_path / "run")
    lstm_lm.train(small_config("trainer.max_steps=5", *EVERY_TWO), run.path)
    config = small_config("trainer.max_steps=9", "resume=auto", *EVERY_TWO)
    if how == "ckpt_path":
        config["ckpt_path"] = str(run.checkpoints / "last-1.ckpt")
    else:
        damage(run.last)
    before = contents(run.path)

    def ended(*_: Any) -> None:
        raise UserError("refused") if end == "refused" else Interrupted(signal.SIGINT)

    monkeypatch.setattr(training, "fit", ended)
    with pytest.raises((UserError, Interrupted)):
        lstm_lm.train(config, run.path)
    assert contents(run.path) == before
    monkeypatch.undo()
    assert lstm_lm.train(config, run.path).train.steps == 9
    assert [row["step"] for row in metrics_file.read(run.metrics)] == list(range(1, 10))


def test_the_named_last_checkpoint_may_be_the_one_before_a_damaged_one(small_config: Config, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    lstm_lm.train(small_config("trainer.max_steps=5", *EVERY_TWO), run.path)
    damage(run.last)
    start = resumed(small_config("trainer.max_steps=9", "ckpt_path=last", *EVERY_TWO), run.path)
    assert (start.path, start.step) == (run.checkpoints / "last-1.ckpt", 4)
    assert "last.ckpt: the checkpoint is damaged" in start.passed_over[0]


def test_what_is_gone_back_to_is_what_was_continued_until_there_is_a_newer_one(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """last.ckpt is damaged, and the very first step after the one before it is bad."""
    run = RunDirectory(tmp_path / "run")
    every = ("trainer.max_epochs=-1", "on_nonfinite=rewind", "callbacks.checkpoint.every_n_steps=4")
    lstm_lm.train(small_config("trainer.max_steps=5", *every), run.path)
    damage(run.last)
    clip = LanguageModelTask.configure_gradient_clipping

    def spoilt(self: LanguageModelTask, *args: Any, **kwargs: Any) -> None:
        if self.global_step == 4:
            next(iter(self.model.parameters())).grad.fill_(float("nan"))  # type: ignore[union-attr]
        clip(self, *args, **kwargs)

    monkeypatch.setattr(LanguageModelTask, "configure_gradient_clipping", spoilt)
    summary = lstm_lm.train(small_config("trainer.max_steps=9", "resume=auto", *every), run.path)
    assert (summary.status, summary.train.steps) == ("completed", 9)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("model.hidden_size=8", r"its weights are of another model: stack\.weight_ih_l0 is \[64, 8\] there, \[32, 8\]"),
        ("model=gru", "its weights are of another model"),
        ("tokenizer=byte", r"another tokenizer: tokenizer\.name: 'char' then, 'byte' now"),
    ],
)
def test_what_force_cannot_do_is_refused(change: str, told: str, small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=2"), tmp_path / "run")
    before = contents(tmp_path / "run")
    with pytest.raises(UserError, match=told) as caught:
        lstm_lm.train(small_config("trainer.max_steps=4", change, "resume=force"), tmp_path / "run")
    assert len(str(caught.value).splitlines()) <= 4
    assert contents(tmp_path / "run") == before


def test_the_same_text_in_another_place_goes_on(small_config: Config, small_file: Path, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=2"), tmp_path / "run")
    moved = small_file.rename(tmp_path / "moved.txt")
    config = small_config("trainer.max_steps=4", "resume=auto")
    config["data"]["path"] = str(moved)
    assert lstm_lm.train(config, tmp_path / "run").train.steps == 4


def test_other_commands_use_the_one_before_a_damaged_one_too(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=5", "callbacks.checkpoint.every_n_steps=2"), tmp_path / "run")
    damage(tmp_path / "run" / "checkpoints" / "last.ckpt")
    lines: list[str] = []
    path, _ = lookup.resolve(str(tmp_path / "run"), "last", tmp_path, lines.append)
    assert path.name == "last-1.ckpt"
    assert "using last-1.ckpt instead" in lines[0]


def test_another_text_under_the_same_name_is_refused_unless_forced(
    small_config: Config, small_file: Path, tmp_path: Path
) -> None:
    lstm_lm.train(small_config("trainer.max_steps=2"), tmp_path / "run")
    before = contents(tmp_path / "run")
    small_file.write_text(small_file.read_text().replace("cat", "dog"))
    longer = small_config("trainer.max_steps=4", "resume=auto")
    with pytest.raises(
        UserError, match=r"was trained on another text\ntext of the \w+ split: SHA-256 \w{12}"
    ) as caught:
        lstm_lm.train(longer, tmp_path / "run")
    assert len(str(caught.value).splitlines()) <= 4
    assert contents(tmp_path / "run") == before
    assert lstm_lm.train(longer | {"resume": "force"}, tmp_path / "run").train.steps == 4


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_validation_or_test_text_in_another_place_goes_on(
    split: str, small_config: Config, small_text: str, tmp_path: Path
) -> None:
    own = tmp_path / "own.txt"
    own.write_text(small_text[:1000])
    lstm_lm.train(small_config("trainer.max_steps=2", f"data.{split}_path={own}"), tmp_path / "run")
    moved = own.rename(tmp_path / "moved.txt")
    config = small_config("trainer.max_steps=4", "resume=auto", f"data.{split}_path={moved}")
    assert lstm_lm.train(config, tmp_path / "run").train.steps == 4
    moved.write_text(small_text[1:1001])
    with pytest.raises(UserError, match=f"text of the {split} split: SHA-256"):
        lstm_lm.train(config | {"trainer": {**config["trainer"], "max_steps": 6}}, tmp_path / "run")


def test_a_split_that_gets_a_text_of_its_own_is_named(small_config: Config, small_text: str, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=2"), tmp_path / "run")
    (tmp_path / "own.txt").write_text(small_text[:1000])
    config = small_config("trainer.max_steps=4", "resume=auto", f"data.validation_path={tmp_path / 'own.txt'}")
    with pytest.raises(UserError, match="text of the validation split: cut from the training text then, a text of its"):
        lstm_lm.train(config, tmp_path / "run")


def again(config: dict[str, Any], run: Path) -> str:
    """What a person is told."""
    told = StringIO()
    lstm_lm.train(config, run, console=Console(file=told, width=400))
    return told.getvalue()


def test_a_finished_run_is_not_complete_for_another_text(
    small_config: Config, small_file: Path, tmp_path: Path
) -> None:
    lstm_lm.train(small_config("trainer.max_steps=2"), tmp_path / "run")
    config = small_config("trainer.max_steps=2", "resume=auto")
    assert again(config, tmp_path / "run") == f"{tmp_path / 'run'}: complete, nothing left to do\n"
    before = contents(tmp_path / "run")
    small_file.write_text(small_file.read_text().replace("cat", "dog"))
    with pytest.raises(UserError, match=r"was trained on another text\ntext of the train split: SHA-256 \w{12}"):
        lstm_lm.train(config, tmp_path / "run")
    assert "text of the train split" in again(config | {"resume": "force"}, tmp_path / "run")
    small_file.unlink()
    with pytest.raises(UserError, match=r"small\.txt"):
        lstm_lm.train(config, tmp_path / "run")
    assert contents(tmp_path / "run") == before


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["forward=stepwise"], ["forward.name: auto then, stepwise now"]),
        (["precision=64-true"], ["trainer.precision: 32-true then, 64-true now"]),
        (["trainer.limit_val_batches=1"], ["trainer.limit_val_batches: None then, 1 now"]),
        (["trainer.max_steps=1"], ["trainer.max_steps: 2 then, 1 now"]),
        (["tune=lr"], ["tune.name: none then, lr now"]),
        (
            ["callbacks.samples.length=3", "logger=csv", "trainer.log_every_n_steps=2", "callbacks.checkpoint.keep=5"],
            [],
        ),
    ],
)
def test_what_a_finished_run_was_computed_with_is_named_where_it_is_not_what_is_asked_for(
    changes: list[str], told: list[str], small_config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lstm_lm.train(small_config("trainer.max_steps=2"), tmp_path / "run")
    config = small_config("trainer.max_steps=2", "resume=auto", *changes)
    said = again(config, tmp_path / "run")
    assert ("it is not what is asked for now" in said) == bool(told)
    assert all(line in said for line in told)
    lstm_lm.train(config, tmp_path / "run")
    assert [line in caplog.text for line in told] == [True] * len(told), "a program is told, too"


def test_asking_for_what_auto_was_is_asking_for_the_same(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=2", "device=auto", "precision=auto"), tmp_path / "run")
    saved = checkpoint_file.load(tmp_path / "run" / "checkpoints" / "last.ckpt")["lstm_lm"]["resolved"]
    asked = (f"forward={saved['forward']}", f"precision={saved['precision']}", f"device={saved['device']}")
    config = small_config("trainer.max_steps=2", "resume=auto", *asked)
    assert Plan.read(TrainConfig.parse(config), RunDirectory(tmp_path / "run")) == Complete(COMPLETE)


def test_other_code_is_named(small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lstm_lm.train(small_config("trainer.max_steps=2"), tmp_path / "run")
    now = code_version.code_version() | {"source": "edited"}
    for module in (identity, plans):
        monkeypatch.setattr(module, "code_version", lambda: now)
    assert "code, source: " in again(small_config("trainer.max_steps=2", "resume=auto"), tmp_path / "run")
    assert "code, source: " in again(small_config("trainer.max_steps=3", "resume=auto"), tmp_path / "run")


@pytest.mark.parametrize("content", first([b'{"status": "comp', b"", b"\0" * 300]))
def test_a_damaged_summary_costs_no_step(content: bytes, small_config: Config, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    for name in ("whole", "run"):
        lstm_lm.train(small_config("trainer.max_steps=2", "scheduler=constant"), tmp_path / name)
    run.summary.write_bytes(content)
    config = small_config("trainer.max_steps=4", "scheduler=constant", "resume=auto")
    found = [lstm_lm.train(config, tmp_path / name) for name in ("run", "whole")]
    assert found[0].status == "completed"
    assert found[0].train.loss == found[1].train.loss
    assert found[0].val == found[1].val


def test_a_damaged_summary_of_a_finished_run_is_written_anew(small_config: Config, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    before = lstm_lm.train(small_config("trainer.max_steps=2"), run.path)
    run.summary.write_text("half of")
    after = lstm_lm.train(small_config("trainer.max_steps=2", "resume=auto"), run.path)
    assert (after.status, after.train.steps, after.val) == ("completed", 2, before.val)
    assert summary.read(run.summary) == after
    assert [row["step"] for row in metrics_file.read(run.metrics)] == [1, 2]


def test_a_run_that_its_limit_of_time_ended_says_so_and_goes_on_with_a_larger_one(
    small_config: Config, tmp_path: Path
) -> None:
    """Lightning's timer counts the training of all processes of a run together; a microsecond is over in a step."""
    limit, larger = (
        [f"trainer.max_time={{{text}}}", "scheduler=constant", "trainer.max_steps=4"]
        for text in ("microseconds:1", "hours:1")
    )
    stopped = lstm_lm.train(small_config(*limit), tmp_path / "run")
    assert (stopped.status, stopped.train.steps) == ("stopped", 1)
    said = again(small_config(*limit, "resume=auto"), tmp_path / "run")
    assert "complete" not in said
    assert "stopped by trainer.max_time={'microseconds': 1} at step 1; to continue, set a larger one" in said
    done = lstm_lm.train(small_config(*larger, "resume=auto"), tmp_path / "run")
    assert (done.status, done.train.steps) == ("completed", 4)
    assert "complete, nothing left to do" in again(small_config(*limit, "resume=auto"), tmp_path / "run")


def test_a_run_that_gave_up_says_so_and_goes_on_with_more_patience(small_config: Config, tmp_path: Path) -> None:
    """No loss is better by 100 nats: it gives up after the second validation."""
    patience = ["trainer.val_check_interval=1", "callbacks.early_stopping.min_delta=100", "trainer.max_steps=4"]
    one, two = ([*patience, f"callbacks.early_stopping.patience={count}", "scheduler=constant"] for count in (1, 9))
    stopped = lstm_lm.train(small_config(*one), tmp_path / "run")
    assert (stopped.status, stopped.train.steps) == ("stopped", 2)
    assert "stopped at step 2, for val/loss got no better" in again(small_config(*one, "resume=auto"), tmp_path / "run")
    assert lstm_lm.train(small_config(*two, "resume=auto"), tmp_path / "run").train.steps == 4


def test_what_two_manifests_differ_in_is_named() -> None:
    split = {"start": 0, "stop": 90, "tokens": 90}
    then = {"sources": {"train": "a" * 64}, "splits": {"train": split}}
    assert identity.text_differences(then, then) == []
    for changes, told in (
        (
            {"sources": {"train": "b" * 64}},
            "text of the train split: SHA-256 aaaaaaaaaaaa... then, bbbbbbbbbbbb... now",
        ),
        ({"splits": {"train": split | {"stop": 80, "tokens": 80}}}, "train split: another part of the text: 90 tokens"),
        ({"splits": {"train": split, "test": split}}, "splits: train then, train, test now"),
        ({"units": {"separator": "\n", "seed": 2}}, "units: none then, ended by '\\n', dealt by the seed 2 now"),
    ):
        [difference] = identity.text_differences(then, then | changes)
        assert difference.startswith(told)


def test_a_damaged_best_checkpoint_is_told_and_written_anew(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=3"), tmp_path / "run")
    best = tmp_path / "run" / "checkpoints" / "best.ckpt"
    damage(best)
    told = StringIO()
    config = small_config("trainer.max_steps=6", "resume=auto")
    lstm_lm.train(config, tmp_path / "run", console=Console(file=told, width=300))
    assert "best.ckpt: the checkpoint is damaged" in told.getvalue()
    assert checkpoint_file.load(best)["global_step"] == 6


def test_another_way_to_compute_the_same_is_allowed_and_noted(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=3"), tmp_path / "run")
    told = StringIO()
    config = small_config("trainer.max_steps=6", "resume=auto", "forward=stepwise", "trainer.log_every_n_steps=2")
    lstm_lm.train(config, tmp_path / "run", console=Console(file=told, width=400))
    assert "changed    forward.name: auto then, stepwise now" in told.getvalue()
    assert "trainer.max_steps: 3 then, 6 now" in told.getvalue()
    assert "trainer.log_every_n_steps: 1 then, 2 now" in told.getvalue()


LAST_VALIDATED = ("trainer.max_steps=7", "trainer.val_check_interval=7", "trainer.check_val_every_n_epoch=null")


@pytest.mark.parametrize("where", ["on_validation_epoch_start", "on_test_epoch_start"])
def test_a_run_that_is_killed_behind_its_last_step_still_tells_of_it(
    where: str, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the process that continues takes no step, and step 7 is none of every third."""

    class Gone(BaseException):
        pass

    def end(_: LanguageModelTask) -> None:
        told.append(run.summary.read_bytes())
        raise Gone

    config = small_config(*LAST_VALIDATED, "trainer.log_every_n_steps=3", "data.test_fraction=0.1", "resume=auto")
    whole = lstm_lm.train(config, tmp_path / "whole")
    run, told = RunDirectory(tmp_path / "killed"), list[bytes]()
    with monkeypatch.context() as patch:
        patch.setattr(LanguageModelTask, where, end)
        with pytest.raises(Gone):
            lstm_lm.train(config, run.path)
    run.summary.write_bytes(told[0])  # as it was: nobody sums up after a SIGKILL
    killed = lstm_lm.train(config, run.path)
    assert (killed.train.loss, killed.train.steps) == (whole.train.loss, 7)
    assert metrics_file.read(run.metrics)[-1]["train/loss"] == whole.train.loss


def test_nothing_is_continued_from_a_best_checkpoint_within_a_step(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A validation between the windows of the first step: there is no last.ckpt yet, and best.ckpt lacks gradients."""

    class Gone(BaseException):
        pass

    def step(task: LanguageModelTask, batch: Any, batch_idx: int, train: Any = LanguageModelTask.training_step) -> Any:
        if batch_idx == 2:
            raise Gone
        return train(task, batch, batch_idx)

    config = small_config("trainer.accumulate_grad_batches=4", "trainer.val_check_interval=1", "trainer.max_steps=2")
    whole = lstm_lm.train(config, tmp_path / "whole")
    run = RunDirectory(tmp_path / "killed")
    with monkeypatch.context() as patch:
        patch.setattr(LanguageModelTask, "training_step", step)
        with pytest.raises(Gone):
            lstm_lm.train(config, run.path)
    assert run.best.exists()
    assert not run.last.exists()
    with pytest.raises(UserError, match="between the windows of one optimizer step"):
        lstm_lm.train(config | {"ckpt_path": "best"}, run.path)
    killed = lstm_lm.train(config | {"resume": "auto"}, run.path)
    assert (killed.train.loss, killed.val) == (whole.train.loss, whole.val)


def test_a_best_checkpoint_beyond_what_is_gone_back_to_does_not_count(small_config: Config, tmp_path: Path) -> None:
    steps = ("trainer.max_steps=6", "trainer.val_check_interval=2", "callbacks.checkpoint.every_n_steps=2")
    config = small_config(*steps, "trainer.check_val_every_n_epoch=null", "callbacks.checkpoint.keep=3")
    run = RunDirectory(tmp_path / "run")
    assert lstm_lm.train(config, run.path).val is not None
    assert checkpoint_file.load(run.best)["global_step"] == 6
    worse = config | {"resume": "force", "ckpt_path": str(rotation.earlier(run.last, 2))}
    worse["optimizer"] = config["optimizer"] | {"lr": 1e-9}
    again = lstm_lm.train(worse, run.path)
    assert again.val is not None
    assert again.val.loss == min(row["val/loss"] for row in metrics_file.read(run.metrics) if "val/loss" in row)
    assert any("best.ckpt: of step 6" in line for line in again.runtime.warnings or [])


def test_a_run_whose_time_was_up_goes_on_with_more_whatever_its_patience(small_config: Config, tmp_path: Path) -> None:
    """It was not its patience that ended it."""
    patient = ("callbacks.early_stopping.patience=50", "scheduler=constant", "trainer.max_epochs=-1", "resume=auto")
    first = lstm_lm.train(small_config(*patient, "trainer.max_time=00:00:00:01"), tmp_path / "run")
    assert first.status == "stopped"
    assert first.train.steps is not None
    more = ("trainer.max_time=00:00:01:00", f"trainer.max_steps={first.train.steps + 3}")
    assert lstm_lm.train(small_config(*patient, *more), tmp_path / "run").train.steps == first.train.steps + 3


def test_nothing_begins_anew_over_a_finished_run_that_has_lost_its_last_checkpoint(
    small_config: Config, tmp_path: Path
) -> None:
    within = ("trainer.accumulate_grad_batches=4", "trainer.val_check_interval=5", "trainer.max_steps=6")
    lstm_lm.train(small_config(*within), tmp_path / "run")
    run = RunDirectory(tmp_path / "run")
    best = checkpoint_file.load(run.best)
    best["lstm_lm"]["within_a_step"] = True  # wherever the best validation was
    checkpoint_file.save(best, run.best)
    for path in run.checkpoints.glob("last*.ckpt"):
        path.unlink()
    before = contents(run.path)
    with pytest.raises(UserError, match="between the windows of one optimizer step"):
        lstm_lm.train(small_config(*within, "resume=auto"), run.path)
    assert contents(run.path) == before


def test_another_share_of_the_text_is_another_run(small_config: Config, tmp_path: Path) -> None:
    """Lightning counts an epoch's windows on from those of before: it would end early, or train more."""
    lstm_lm.train(small_config("trainer.limit_train_batches=10", "trainer.max_epochs=2"), tmp_path / "run")
    with pytest.raises(UserError, match=r"trainer\.limit_train_batches: 10 then, None now"):
        lstm_lm.train(small_config("trainer.max_epochs=3", "resume=auto"), tmp_path / "run")


def test_options_of_the_optimizer_that_are_forced_have_their_effect(small_config: Config, tmp_path: Path) -> None:
    sgd = ("optimizer=sgd", "scheduler=constant", "callbacks.checkpoint.every_n_steps=1", "data.unit=window")
    lstm_lm.train(small_config(*sgd, "optimizer.lr=0.1", "trainer.max_steps=3"), tmp_path / "run")
    forced = ("optimizer.lr=0.05", "optimizer.momentum=0.5", "optimizer.weight_decay=0.01", "resume=force")
    lstm_lm.train(small_config(*sgd, *forced, "trainer.max_steps=5"), tmp_path / "run")
    rates = {
        int(row["step"]): row["train/learning_rate"] for row in metrics_file.read(tmp_path / "run" / "metrics.csv")
    }
    assert rates == {1: 0.1, 2: 0.1, 3: 0.1, 4: 0.05, 5: 0.05}
    saved = checkpoint_file.load(tmp_path / "run" / "checkpoints" / "last.ckpt")
    matrices, vectors = saved["optimizer_states"][0]["param_groups"]
    assert (matrices["momentum"], matrices["weight_decay"], vectors["weight_decay"]) == (0.5, 0.01, 0.0)


@pytest.mark.parametrize("then", ["2.9.0", None])
def test_another_versions_own_counters_may_have_other_names(
    then: str | None, small_config: Config, tmp_path: Path
) -> None:
    """A library that is updated adds a field, and no interrupted run may be lost by that; a forged one is refused."""
    lstm_lm.train(small_config("trainer.max_steps=2"), tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    saved = checkpoint_file.load(last)
    saved["lr_schedulers"][0]["_of_another_version"] = False
    saved["optimizer_states"][0]["param_groups"][0]["of_another_version"] = False
    if then is not None:
        saved["lstm_lm"]["code"]["torch"] = then
    checkpoint_file.save(saved, last)
    config = small_config("trainer.max_steps=4", "resume=auto")
    if then is None:
        with pytest.raises(UserError, match="has other fields"):
            lstm_lm.train(config, tmp_path / "run")
    else:
        assert lstm_lm.train(config, tmp_path / "run").train.steps == 4
