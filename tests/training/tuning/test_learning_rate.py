"""`tune=lr`: the rule, on curves whose answer is known; and the search, end to end."""

import json
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiers import first

import lstm_lm
from lstm_lm.errors import Interrupted, UserError
from lstm_lm.runs import checkpoint_file, metrics_file
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.tuning.learning_rate import propose

Config = Callable[..., dict[str, Any]]
QUICK = ("tune=lr", "tune.steps=30", "tune.min_lr=1e-4", "trainer.max_steps=3")
RATES = [10 ** (-6 + 6 * number / 99) for number in range(100)]


def losses(run: Path) -> list[float]:
    return [row["train/loss"] for row in metrics_file.read(run / "metrics.csv") if row["train/loss"]]


def tuning(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(RunDirectory(run).tuning.read_text())
    return content


def valley(bottom: float) -> list[float]:
    """Lowest at `bottom`, on a logarithmic scale."""
    return [4 + abs(math.log10(rate / bottom)) for rate in RATES]


def test_the_proposal_is_a_tenth_of_the_rate_with_the_lowest_loss() -> None:
    rate, note = propose(RATES, valley(0.05), 1.0)
    assert rate == pytest.approx(0.005, rel=0.1)
    assert note == ""
    assert rate == float(f"{rate:.1e}"), "two digits, to be typed"


def test_noise_at_the_smallest_rates_does_not_matter() -> None:
    noisy = valley(0.05)
    noisy[3] -= 2.5
    noisy[60] += 1.0
    assert propose(RATES, noisy, 1.0)[0] == pytest.approx(0.005, rel=0.3)


def test_a_search_that_diverges_counts_as_far_as_it_came() -> None:
    curve = valley(0.001)
    assert propose(RATES, [*curve[:70], *[math.nan] * 30], 1.0)[0] == pytest.approx(0.0001, rel=0.1)
    rate, note = propose(RATES, [math.nan] * 100, 1.0)
    assert rate is None
    assert "diverged after 0 steps" in note


def test_a_loss_that_falls_to_the_end_or_not_at_all_is_told() -> None:
    rate, note = propose(RATES, valley(100.0), 1.0)
    assert rate is not None
    assert "still falls at tune.max_lr=1" in note
    assert propose(RATES, valley(1e-9), 1.0) == (None, "the loss falls at no rate: try a smaller tune.min_lr")


def test_the_proposal_is_told_and_the_run_is_the_one_without_tuning(
    small_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every = ("model.num_layers=2", "model.dropout=0.3")
    summary = lstm_lm.train(small_config(*QUICK, *every), tmp_path / "tuned", console=Console(width=120))
    lstm_lm.train(small_config("trainer.max_steps=3", *every), tmp_path / "plain")
    assert losses(tmp_path / "tuned") == losses(tmp_path / "plain")
    weights = [checkpoint_file.load(tmp_path / run / "checkpoints" / "last.ckpt") for run in ("tuned", "plain")]
    for name, tensor in weights[0]["state_dict"].items():
        assert torch.equal(tensor, weights[1]["state_dict"][name]), name
    found = tuning(tmp_path / "tuned")
    assert len(found["table"]) == 30
    assert found["table"][0]["learning_rate"] == pytest.approx(1e-4)
    assert found["table"][0]["loss"] == pytest.approx(losses(tmp_path / "plain")[0]), "the same first step"
    assert found["chosen"] == {}
    assert 1e-5 < found["proposal"] <= 0.1
    assert summary.tuning is not None
    assert summary.tuning.learning_rate == found["proposal"]
    assert weights[0]["lstm_lm"]["tuning"] == found
    captured = capsys.readouterr()
    assert f"proposes {found['typed']}" in captured.out
    assert "Finding best" not in captured.err, "one bar is enough"
    files = {path.name for path in (tmp_path / "tuned").rglob("*") if path.is_file()}
    assert {name for name in files if "tfevents" not in name} == {
        ".lock",
        "best.ckpt",
        "last.ckpt",
        "metrics.csv",
        "summary.json",
        "tuning.json",
    }


def test_the_curve_is_in_tensorboard(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config(*QUICK), tmp_path / "run")
    (events,) = RunDirectory(tmp_path / "run").event_files()
    shown = EventAccumulator(str(events))
    shown.Reload()
    table = tuning(tmp_path / "run")["table"]
    assert [event.value for event in shown.Scalars("tune/loss")] == pytest.approx([row["loss"] for row in table])
    assert [event.step for event in shown.Scalars("tune/learning_rate")] == list(range(30))
    assert "tuning/text_summary" in shown.Tags()["tensors"]


def test_applied_the_run_is_the_one_with_that_rate_and_stays_it_when_resumed(
    small_config: Config, tmp_path: Path
) -> None:
    every = (*QUICK, "tune.apply=true", "scheduler=constant")
    lstm_lm.train(small_config(*every), tmp_path / "run")
    found = tuning(tmp_path / "run")
    assert found["chosen"] == {"optimizer.lr": found["proposal"]}
    lstm_lm.train(
        small_config("trainer.max_steps=5", "scheduler=constant", *found["typed"].split()), tmp_path / "typed"
    )
    resumed = lstm_lm.train(small_config(*every, "trainer.max_steps=5", "resume=auto"), tmp_path / "run")
    assert resumed.train.steps == 5
    assert losses(tmp_path / "run") == losses(tmp_path / "typed")
    assert tuning(tmp_path / "run") == found, "it was not searched again"


def test_another_rate_than_the_applied_one_is_not_continued(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config(*QUICK, "tune.apply=true"), tmp_path / "run")
    with pytest.raises(UserError, match=r"optimizer\.lr: .* then, 0\.02 now"):
        lstm_lm.train(small_config("trainer.max_steps=5", "resume=auto"), tmp_path / "run")


def test_a_run_that_was_begun_without_keeps_its_rate(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=1"), tmp_path / "run")
    with pytest.raises(UserError, match="keeps its learning rate") as caught:
        lstm_lm.train(small_config(*QUICK, "resume=auto"), tmp_path / "run")
    assert str(caught.value).count("\n") == 1
    assert not RunDirectory(tmp_path / "run").tuning.exists()


@pytest.mark.parametrize("number", first([signal.SIGINT, signal.SIGTERM]))
def test_an_interruption_leaves_nothing(
    number: signal.Signals, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lstm_lm.training.module import LanguageModelTask

    real = LanguageModelTask.training_step

    def step(self: LanguageModelTask, batch: Any, batch_idx: int) -> torch.Tensor:
        if batch_idx == 3:
            signal.raise_signal(number)
        return real(self, batch, batch_idx)

    monkeypatch.setattr(LanguageModelTask, "training_step", step)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted):
        lstm_lm.train(small_config(*QUICK), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert not [path for path in temporary.iterdir() if path.is_dir()], "the finder's own"
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("tune.min_lr=2.0", r"min_lr=2.0 must be below max_lr=1.0"),
        ("tune.steps=3", "must be greater than or equal to 30"),
        ("tune=fast", "no such"),
    ],
)
def test_wrong_settings_are_refused(override: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        TrainConfig.parse(lstm_lm.compose("tune=lr", override))
