"""Every token of an optimizer step weighs the same, however the step is cut into windows, lines and processes."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import lstm_lm
from lstm_lm.data.streams import Batch
from lstm_lm.runs import metrics_file
from lstm_lm.training.build import build
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.plan import Plan
from lstm_lm.training.processes.team import ALONE
from lstm_lm.training.step_loss import StepLoss

Config = Callable[..., dict[str, Any]]

STILL = ("optimizer=sgd", "optimizer.lr=1e-30", "scheduler=constant", "trainer.gradient_clip_val=null")
"""Weights stay as they are, so that gradients of different steps can be compared."""


def column(run: Path, name: str) -> list[float]:
    return [row[name] for row in metrics_file.read(run / "metrics.csv") if name in row]


def window(tokens: int, **known: int) -> Batch:
    return Batch(torch.zeros(tokens, 1), torch.zeros(tokens, 1), fresh=False, **known)


def losses_of(window_losses: list[tuple[float, Batch]], whole: int, accumulate: int) -> tuple[float, float]:
    """(what is reported, what the gradient is the gradient of), computed as Lightning does: a share of each window."""
    step = StepLoss(whole, ALONE)
    step.begin()
    minimised = torch.zeros(())
    for mean, batch in window_losses:
        nats = torch.tensor(mean * batch.tokens())
        minimised = minimised + step.add(batch, torch.tensor(mean), nats) / accumulate
    return float(step.mean()), scaled(step, minimised, accumulate)


def scaled(step: StepLoss, gradient: torch.Tensor, accumulate: int) -> float:
    weight = torch.nn.Parameter(torch.zeros(()))
    weight.grad = gradient.clone()
    step.scale_gradients([weight], accumulate)
    return float(weight.grad)


def test_windows_of_different_lengths_are_one_mean_over_tokens() -> None:
    reported, minimised = losses_of([(2.0, window(8)), (1.0, window(8)), (4.0, window(2))], whole=8, accumulate=3)
    assert (reported, minimised) == pytest.approx(((2 * 8 + 1 * 8 + 4 * 2) / 18,) * 2)


def test_a_step_with_fewer_windows_is_divided_by_those_it_has() -> None:
    reported, minimised = losses_of([(2.0, window(8))], whole=8, accumulate=4)
    assert reported == minimised == 2.0


def test_padding_does_not_count() -> None:
    reported, minimised = losses_of(
        [(2.0, window(8, predicted=3)), (1.0, window(8, predicted=6))], whole=8, accumulate=2
    )
    assert (reported, minimised) == pytest.approx(((2 * 3 + 1 * 6) / 9,) * 2)


def test_windows_of_random_length_count_by_what_a_whole_one_would_have() -> None:
    """A token's weight must not depend on the length of the window that it happens to be in."""
    reported, minimised = losses_of([(2.0, window(6, divisor=8))], whole=8, accumulate=1)
    assert reported == 2.0
    assert minimised == pytest.approx(2 * 6 / 8)


def test_whole_windows_are_left_to_the_bit() -> None:
    loss = torch.tensor(1.2345678)
    step = StepLoss(8, ALONE)
    assert step.add(window(8), loss, loss) is loss
    assert scaled(step, loss, accumulate=1) == float(loss)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_last_step_of_an_epoch_has_the_gradient_of_its_own_windows(
    precision: str, small_config: Config, tmp_path: Path
) -> None:
    """Windows in an epoch are no multiple of four: the last step's gradient is the mean of what it has."""
    config = ("trainer.limit_train_batches=9", f"precision={precision}", *STILL)
    lstm_lm.train(small_config(*config), tmp_path / "each")
    lstm_lm.train(small_config(*config, "trainer.accumulate_grad_batches=4"), tmp_path / "four")
    each, four = (column(tmp_path / name, "train/gradient_norm") for name in ("each", "four"))
    assert (len(each), len(four)) == (9, 3)
    assert four[-1] == pytest.approx(each[-1], rel=1e-6), "one window, as if nothing had been accumulated"
    assert column(tmp_path / "four", "train/loss")[0] == pytest.approx(
        sum(column(tmp_path / "each", "train/loss")[:4]) / 4, rel=1e-6
    )


def test_more_windows_to_a_step_than_an_epoch_has_are_all_of_them(small_config: Config, tmp_path: Path) -> None:
    config = ("trainer.limit_train_batches=9", *STILL)
    for windows in (9, 64):
        lstm_lm.train(small_config(*config, f"trainer.accumulate_grad_batches={windows}"), tmp_path / str(windows))
    nine, more = (column(tmp_path / windows, "train/gradient_norm") for windows in ("9", "64"))
    assert len(nine) == len(more) == 1
    assert more == pytest.approx(nine, rel=1e-6)


@pytest.mark.parametrize("clip", ["norm", "value"])
def test_clipping_acts_on_that_gradient(clip: str, small_config: Config, tmp_path: Path) -> None:
    """Steps of 1 with plain SGD: what the weights move by is the clipped gradient."""
    config = (
        *("trainer.limit_train_batches=3", "optimizer=sgd", "optimizer.lr=1", "scheduler=constant"),
        *("optimizer.momentum=0", f"trainer.gradient_clip_algorithm={clip}", "trainer.gradient_clip_val=1e-2"),
    )
    lstm_lm.train(small_config(*config, "trainer.accumulate_grad_batches=3"), tmp_path / "three")
    lstm_lm.train(small_config(*config, "trainer.accumulate_grad_batches=64"), tmp_path / "all")
    for name, weight in weights(tmp_path / "three").items():
        torch.testing.assert_close(weights(tmp_path / "all")[name], weight, rtol=1e-6, atol=1e-7)


def weights(run: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return state


@pytest.fixture
def uneven_lines(tmp_path: Path) -> Path:
    """400 lines of alternately 2 and 60 letters, so that a mean of lines' means is far from that of their tokens."""
    chance = random.Random(0)
    path = tmp_path / "lines.txt"
    path.write_text("".join("".join(chance.choices("abcdefgh", k=(2, 60)[n % 2])) + "\n" for n in range(400)))
    return path


def test_the_same_lines_make_the_same_step_however_they_are_batched(
    uneven_lines: Path, small_config: Config, tmp_path: Path
) -> None:
    config = (f"data.path={uneven_lines}", "data.unit=line", "data.seq_len=64", "trainer.max_steps=3")
    plain = ("optimizer=sgd", "scheduler=constant", "optimizer.lr=0.1")
    lstm_lm.train(small_config(*config, *plain, "data.batch_size=8"), tmp_path / "batch")
    loss, norm = of_the_first_batch(small_config(*config, *plain, "data.batch_size=8"))
    assert column(tmp_path / "batch", "train/loss")[0] == pytest.approx(loss, rel=1e-5)
    assert column(tmp_path / "batch", "train/gradient_norm")[0] == pytest.approx(norm, rel=1e-5)
    for size in (1, 4):
        run = tmp_path / str(size)
        batched = (f"data.batch_size={size}", f"trainer.accumulate_grad_batches={8 // size}")
        lstm_lm.train(small_config(*config, *plain, *batched), run)
        for name in ("train/loss", "train/gradient_norm"):
            assert column(run, name) == pytest.approx(column(tmp_path / "batch", name), rel=1e-5), name


def of_the_first_batch(config: dict[str, Any]) -> tuple[float, float]:
    """PyTorch's own mean over the tokens of the first batch, and the norm of its gradient."""
    parts = build(Plan.new(TrainConfig.parse(config)))
    batch = next(iter(parts.data.train_dataloader()))
    logits, _ = parts.model(batch.inputs, parts.model.initial_state(batch.inputs.shape[1]))
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=-100)
    loss.backward()
    gradients = [weight.grad for weight in parts.model.parameters() if weight.grad is not None]
    return float(loss.detach()), float(torch.nn.utils.get_total_norm(gradients))
