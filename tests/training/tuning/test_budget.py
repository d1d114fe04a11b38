"""`budget=`, end to end: what it leaves, that what is set stays as set, and that it is done once."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import lstm_lm
from lstm_lm.errors import Interrupted, UserError
from lstm_lm.flat_keys import at
from lstm_lm.runs import checkpoint_file
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.plan import Plan
from lstm_lm.training.signals import StopSignals
from lstm_lm.training.tuning import budget, search
from lstm_lm.training.tuning.budget_options import CHOSEN, EXCLUDED, BudgetOptions
from lstm_lm.training.tuning.options import as_typed, chosen_config
from lstm_lm.training.tuning.schedule import Costs, Schedule
from lstm_lm.training.tuning.search import Timing

Config = Callable[..., dict[str, Any]]
SMALL_MODEL = ("model.embedding_size", "model.hidden_size", "model.num_layers")


def tuning(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(RunDirectory(run).tuning.read_text())
    return content


@pytest.fixture
def config(small_config: Config) -> Config:
    """Of a run with a budget, that keeps these keys; none has a length."""

    def make(*overrides: str, keep: tuple[str, ...] = SMALL_MODEL, time: str = "1h") -> dict[str, Any]:
        return {**small_config(*overrides), "budget": {"time": time, "keep": list(keep)}}

    return make


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the budget, there is time for 20 steps: tests of a machine that is as slow as that."""
    monkeypatch.setattr(search, "affordable", lambda *_: Schedule(steps=20, validations=3))


@pytest.fixture
def planted_times(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A machine whose speed is known; gives how often it was measured."""
    measured: list[int] = []

    def timed(plan: Any, *_: Any) -> Timing:
        measured.append(plan.config.top.model["hidden_size"])
        return Timing(0.01 * plan.config.top.model["num_layers"], Costs(0.1, 0.1, 0.5))

    monkeypatch.setattr(budget, "_timed", timed)
    return measured


@pytest.mark.usefixtures("few_steps")
def test_the_choice_is_told_and_kept(config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = lstm_lm.train(config(), tmp_path / "run", console=Console(width=200))
    found = tuning(tmp_path / "run")
    assert (found["name"], found["time"]) == ("budget", "1h")
    assert [row["chosen"] for row in found["table"]] == [True]
    assert found["table"][0]["measured"]
    assert summary.tuning is not None
    assert (summary.tuning.chosen, summary.tuning.typed) == (found["chosen"], found["typed"])
    assert summary.tuning.reason == found["reason"]
    assert summary.train.steps == found["chosen"]["trainer.max_steps"] == found["table"][0]["steps"]
    saved = checkpoint_file.load(RunDirectory(tmp_path / "run").last)["lstm_lm"]
    assert saved["tuning"] == found
    assert saved["config"]["budget"] is None, "what was chosen is in its place"
    told = capsys.readouterr().out
    assert "ms/step" in told
    assert "budget=1h: " in told
    assert all(part in told for part in found["reason"].split("; "))
    assert "tuning.typed" in told, "where that is kept"


@pytest.mark.usefixtures("planted_times", "few_steps")
def test_what_is_set_is_not_chosen(config: Config, tmp_path: Path) -> None:
    keep = (*SMALL_MODEL, "model.dropout", "optimizer.lr", "data.batch_size", "trainer.val_check_interval")
    summary = lstm_lm.train(config("model.dropout=0.2", keep=keep), tmp_path / "run")
    found = tuning(tmp_path / "run")
    assert found["chosen"].keys().isdisjoint(keep)
    assert found["chosen"].keys() == {"data.seq_len", "trainer.max_epochs", "trainer.max_steps", "trainer.max_time"}
    assert summary.train.steps == found["chosen"]["trainer.max_steps"]


@pytest.mark.usefixtures("planted_times", "few_steps")
def test_what_is_chosen_can_be_typed(config: Config, tmp_path: Path) -> None:
    """The overrides that it gives make the configuration that it trains by."""
    lstm_lm.train(config(keep=(*SMALL_MODEL,)), tmp_path / "run")
    chosen = tuning(tmp_path / "run")["chosen"]
    for typed in ((), ("model.layer_dropout=0.1", "optimizer=sgd"), ("model=gru",)):
        asked = lstm_lm.compose("budget=1h", *typed)
        taken = {key: value for key, value in chosen.items() if key not in asked["budget"]["keep"]}
        assert lstm_lm.compose(*typed, *as_typed(taken).split()) == chosen_config(asked, taken)


@pytest.mark.usefixtures("few_steps")
def test_every_key_that_is_open_is_chosen(config: Config, planted_times: list[int], tmp_path: Path) -> None:
    """On a machine that needs as long for a wide model as for a narrow one."""
    lstm_lm.train(config("trainer.limit_val_batches=1", keep=("model.hidden_size",)), tmp_path / "run")
    found = tuning(tmp_path / "run")
    assert planted_times, "it was measured"
    assert len(found["table"]) == 3
    assert found["chosen"].keys() == {key for key in CHOSEN if key != "model.hidden_size"}
    assert found["chosen"]["model.num_layers"] == found["table"][0]["layers"]
    row = checkpoint_file.load(RunDirectory(tmp_path / "run").last)["lstm_lm"]["config"]
    assert all(at(row, key) == value for key, value in found["chosen"].items())


@pytest.mark.usefixtures("few_steps")
def test_a_resumed_run_keeps_the_choice_and_measures_nothing(
    config: Config, planted_times: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LanguageModelTask.training_step

    def interrupted(self: LanguageModelTask, batch: Any, batch_idx: int) -> Any:
        if self.global_step == 7:
            signal.raise_signal(signal.SIGTERM)
        return real(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(LanguageModelTask, "training_step", interrupted)
        with pytest.raises(Interrupted):
            lstm_lm.train(config(), tmp_path / "run")
    before, measured = tuning(tmp_path / "run"), len(planted_times)
    again = config("resume=auto")
    summary = lstm_lm.train(again, tmp_path / "run")
    assert len(planted_times) == measured, "it was not measured again"
    assert tuning(tmp_path / "run") == before
    assert summary.train.steps == before["chosen"]["trainer.max_steps"]
    assert lstm_lm.train(again, tmp_path / "run").status == "completed", "nothing is left to do"
    assert len(planted_times) == measured


@pytest.mark.usefixtures("planted_times", "few_steps")
def test_a_resumed_run_keeps_its_budget(config: Config, small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(config(), tmp_path / "run")
    for resume in ("resume=auto", "resume=force"):
        with pytest.raises(UserError, match=r"budget: 1h then, 2h now"):
            lstm_lm.train(config(resume, time="2h"), tmp_path / "run")
    assert lstm_lm.train(config("resume=auto", time="60m"), tmp_path / "run").status == "completed"


def test_a_run_that_was_begun_without_keeps_its_model(config: Config, small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=1"), tmp_path / "run")
    everything = tuple(key for key in CHOSEN if key not in EXCLUDED)
    with pytest.raises(UserError, match=r"was not begun with budget=") as caught:
        lstm_lm.train(config("ckpt_path=last", keep=everything), tmp_path / "run")
    assert str(caught.value).count("\n") == 1


def test_where_the_machine_has_become_slower_the_run_ends_all_the_same(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Thought to take a microsecond, no step is as quick as that."""
    monkeypatch.setattr(budget, "_timed", lambda *_: Timing(1e-6, Costs(0.1, 0.1, 0.1)))
    summary = lstm_lm.train(config("callbacks.samples.length=0", time="3s"), tmp_path / "run")
    assert summary.status == "stopped"
    assert summary.train.steps is not None
    assert summary.train.steps < tuning(tmp_path / "run")["chosen"]["trainer.max_steps"]
    assert summary.val is not None
    again = config("callbacks.samples.length=0", "resume=auto", time="3s")
    lstm_lm.train(again, tmp_path / "run", console=Console(width=200))
    assert "in place of budget=" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.usefixtures("planted_times")
def test_validations_that_a_person_asked_for_take_their_time(config: Config) -> None:
    """With steps of 0.02 s and validations of 0.1 s."""

    def steps(*typed: str) -> int:
        keep = (*SMALL_MODEL, "model.dropout", *(key.partition("=")[0] for key in typed))
        plan = Plan.new(TrainConfig.parse(config("model.num_layers=2", *typed, keep=keep)))
        assert isinstance(plan.config.tune, BudgetOptions)
        with StopSignals(0, None) as signals:
            row = budget.tune_budget(plan, plan.config.tune, signals, time.time())["table"][0]
        return round(row["affordable_passes"] * row["steps"] / row["passes"])

    every_step = steps("trainer.val_check_interval=1")
    assert every_step == pytest.approx(steps() / 6, rel=0.1)
    assert steps("trainer.val_check_interval=00:00:00:01") == pytest.approx(steps() / 1.1, rel=0.05)


@pytest.mark.usefixtures("planted_times")
def test_a_budget_that_is_too_small_leaves_nothing(config: Config, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the least that would do: budget=\d+s") as caught:
        lstm_lm.train(config(time="0.1s"), tmp_path / "run")
    assert str(caught.value).count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["", "a"])
def test_a_text_that_is_too_short_is_refused_as_without(text: str, config: Config, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text(text)
    with pytest.raises(UserError, match=r"short\.txt|too short"):
        lstm_lm.train(config(f"data.path={tmp_path / 'short.txt'}"), tmp_path / "run")


@pytest.mark.usefixtures("planted_times", "few_steps")
def test_a_short_text_is_read_in_fewer_streams(config: Config, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("to be or not to be, that is the question\n" * 4)
    keep = (*SMALL_MODEL, "model.dropout")
    lstm_lm.train(config(f"data.path={tmp_path / 'short.txt'}", keep=keep), tmp_path / "run")
    chosen = tuning(tmp_path / "run")["chosen"]
    assert chosen["data.batch_size"] == 4
    assert chosen["data.seq_len"] < 64
