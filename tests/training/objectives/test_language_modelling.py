"""The training loss."""

import math
from typing import Any

import pytest
import torch
from quick_compose import compose
from torch import Tensor, nn

from lstm_lm.data.streams import IGNORE, Batch
from lstm_lm.errors import UserError
from lstm_lm.models.build import build_model
from lstm_lm.models.interface import LanguageModel, Outputs
from lstm_lm.training.objectives import build_objective
from lstm_lm.training.objectives.language_modelling import LanguageModelling, summed_cross_entropy


def objective(*overrides: str) -> LanguageModelling:
    config = compose(*overrides)
    built = build_objective(config["objective"], config["model"])
    assert isinstance(built, LanguageModelling)
    return built


class Uniform:
    """A model that thinks all V tokens equally likely."""

    training = True

    def __call__(self, tokens: torch.Tensor, state: int) -> tuple[torch.Tensor, int]:
        return torch.zeros(*tokens.shape, 7), state + 1


def test_a_uniform_model_loses_log_v_a_token() -> None:
    tokens = torch.zeros(3, 2, dtype=torch.int64)
    result = objective().loss(Uniform(), Batch(tokens, tokens, fresh=True), 0)  # type: ignore[arg-type]
    torch.testing.assert_close(result.loss, torch.tensor(math.log(7)))
    assert result.state == 1
    torch.testing.assert_close(result.nats, torch.tensor(6 * math.log(7)))


def test_ignored_targets_count_for_nothing() -> None:
    tokens = torch.zeros(3, 2, dtype=torch.int64)
    targets = tokens.clone()
    targets[0] = IGNORE
    result = objective().loss(Uniform(), Batch(tokens, targets, fresh=True), 0)  # type: ignore[arg-type]
    torch.testing.assert_close(result.loss, torch.tensor(math.log(7)))
    torch.testing.assert_close(result.nats, torch.tensor(4 * math.log(7)))


def test_low_precision_logits_are_summed_in_float32() -> None:
    logits = torch.randn(50, 40, 7, generator=torch.Generator().manual_seed(0)).bfloat16()
    targets = torch.zeros(50, 40, dtype=torch.int64)
    got = summed_cross_entropy(logits, targets).nats
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, summed_cross_entropy(logits.double(), targets).nats.float(), rtol=1e-5, atol=0)


class Spelled(nn.Module):
    """Hands out what it is given; `training` as any module has it."""

    def __init__(self, logits: Tensor, hidden: Tensor, dropped: Tensor) -> None:
        super().__init__()
        self.outputs = Outputs(logits, 0, hidden, dropped)

    def forward(self, tokens: Tensor, state: int) -> tuple[Tensor, int]:
        return self.outputs.logits, self.outputs.state

    def forward_with_hidden(self, tokens: Tensor, state: int) -> Outputs:
        return self.outputs


def loss_of(model: nn.Module, targets: Tensor, *overrides: str) -> tuple[float, float]:
    """(what is minimised, reported nats a token)."""
    result = objective(*overrides).loss(model, Batch(targets, targets, fresh=True), 0)  # type: ignore[arg-type]
    return result.loss.item(), (result.nats / (targets != IGNORE).sum()).item()


def half_quarter(steps: int) -> tuple[Tensor, Tensor]:
    """Probabilities 1/2, 1/4, 1/4 for each of `steps` tokens, the first of which is the target."""
    return torch.tensor([2.0, 1.0, 1.0]).log().repeat(steps, 1, 1), torch.zeros(steps, 1, dtype=torch.int64)


def test_label_smoothing_by_hand() -> None:
    """A target of 0.9 + 0.1/3, 0.1/3, 0.1/3 against 1/2, 1/4, 1/4."""
    logits, targets = half_quarter(2)
    model = Spelled(logits, torch.zeros(2, 1, 1), torch.zeros(2, 1, 1))
    by_hand = (0.9 + 0.1 / 3) * math.log(2) + 2 * (0.1 / 3) * math.log(4)
    assert loss_of(model, targets, "objective.label_smoothing=0.1") == pytest.approx((by_hand, math.log(2)))


def test_label_smoothing_leaves_ignored_targets_out_and_is_torchs_own() -> None:
    logits = torch.randn(6, 4, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.arange(24).view(6, 4) % 9
    targets[0] = IGNORE
    expected = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), label_smoothing=0.2)
    model = Spelled(logits, logits, logits)
    assert loss_of(model, targets, "objective.label_smoothing=0.2")[0] == pytest.approx(expected.item(), rel=1e-12)


def test_activation_regularisation_by_hand() -> None:
    """The mean square of what dropout left: (4 + 0 + 0 + 16) / 4 = 5."""
    logits, targets = half_quarter(2)
    model = Spelled(logits, torch.ones(2, 1, 2), torch.tensor([[[2.0, 0.0]], [[0.0, 4.0]]]))
    got = loss_of(model, targets, "objective.activation_regularisation=2")
    assert got == pytest.approx((math.log(2) + 2 * 5, math.log(2)))


def test_temporal_activation_regularisation_by_hand() -> None:
    """Before dropout, from step to step: differences 2, -1 and 3, 0, of which the mean square is 14 / 4."""
    logits, targets = half_quarter(3)
    hidden = torch.tensor([[[1.0, 0.0]], [[3.0, 3.0]], [[2.0, 3.0]]])
    model = Spelled(logits, hidden, torch.full((3, 1, 2), 9.0))
    got = loss_of(model, targets, "objective.temporal_activation_regularisation=0.5")
    assert got == pytest.approx((math.log(2) + 0.5 * 14 / 4, math.log(2)))


def test_a_window_of_one_step_has_no_change_to_penalise() -> None:
    logits, targets = half_quarter(1)
    model = Spelled(logits, torch.ones(1, 1, 2), torch.ones(1, 1, 2))
    assert loss_of(model, targets, "objective.temporal_activation_regularisation=1")[0] == pytest.approx(math.log(2))


def test_what_regularises_activations_does_not_see_padding() -> None:
    """A second line of two tokens beside one of four; what a model gives behind its end is as large as can be."""
    logits = torch.tensor([2.0, 1.0, 1.0]).log().repeat(4, 2, 1)
    targets = torch.tensor([[0, 0], [0, 0], [0, IGNORE], [0, IGNORE]])
    outputs = torch.arange(8.0).view(4, 2, 1).expand(4, 2, 3).clone()
    line = 2 * (0 + 4 + 16 + 36 + 1 + 9) / 6 + 3 * (4 + 4 + 4 + 4) / 4
    outputs[2:, 1] = 1000
    keys = ("objective.activation_regularisation=2", "objective.temporal_activation_regularisation=3")
    assert loss_of(Spelled(logits, outputs, outputs), targets, *keys)[0] == pytest.approx(math.log(2) + line)


def test_all_of_it_acts_in_training_alone() -> None:
    logits, targets = half_quarter(2)
    model = Spelled(logits, 7 * torch.randn(2, 1, 2), torch.ones(2, 1, 2)).eval()
    everything = ("label_smoothing=0.3", "activation_regularisation=1", "temporal_activation_regularisation=1")
    assert loss_of(model, targets, *(f"objective.{key}" for key in everything)) == pytest.approx((math.log(2),) * 2)


def test_a_model_hands_out_what_its_output_projection_reads() -> None:
    """And computes the same, with the same dropout masks, as without being asked."""
    section = compose("model.hidden_size=8", "model.embedding_size=4", "model.output_dropout=0.5")["model"]
    model = build_model(section, 5)
    tokens, state = torch.arange(12).view(6, 2) % 5, model.initial_state(2)
    drawn = model.masks.state()
    logits, after = model(tokens, state)
    model.masks.load_state(drawn)
    outputs = model.forward_with_hidden(tokens, state)
    torch.testing.assert_close((outputs.logits, outputs.state), (logits, after), rtol=0, atol=0)
    head = model.get_submodule("head")
    torch.testing.assert_close(head(outputs.dropped), logits, rtol=0, atol=0)
    assert torch.equal(outputs.hidden[-1], after[-1][0])
    zeros = outputs.dropped == 0
    assert 0 < zeros.sum() < zeros.numel()
    torch.testing.assert_close(outputs.dropped[~zeros], 2 * outputs.hidden[~zeros])


class Opaque(LanguageModel):
    """A backbone that hands out nothing."""


def test_a_model_without_hidden_states_is_refused_in_one_line() -> None:
    section = compose("objective.activation_regularisation=2")["objective"]
    objective = LanguageModelling.parse(section, "objective")
    with pytest.raises(UserError, match=r"^objective\.activation_regularisation=2\.0: model=.*; set 0$"):
        objective.check(Opaque, "opaque")  # type: ignore[type-abstract]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "guessing"}, "objective='guessing': no such option"),
        (compose()["objective"] | {"smooth": 1}, "objective.smooth: no such key"),
        (compose("objective.label_smoothing=1.0")["objective"], "label_smoothing=1.0: must be less than 1"),
    ],
)
def test_wrong_options_are_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_objective(section, compose()["model"])
