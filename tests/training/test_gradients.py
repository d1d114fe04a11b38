"""Norms and clipping, against PyTorch's own; a gradient scaler's part is in test_gradient_scaler.py."""

import pytest
import torch
from torch import Tensor, nn

from lstm_lm.training.gradients import Gradients, unscale


@pytest.fixture
def model() -> nn.Module:
    """Two parameters with a gradient, and one without."""
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2, bias=False))
    weight, bias, other = model.parameters()
    weight.grad, bias.grad = torch.full((2, 3), 2.0), torch.tensor([-3.0, 0.5])
    assert other.grad is None
    return model


def gradients_of(model: nn.Module) -> list[Tensor]:
    return [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]


def test_the_norms_are_those_of_the_parameters_that_have_one(model: nn.Module) -> None:
    found = Gradients.of(model)
    assert found is not None
    assert found.names == ["0.weight", "0.bias"]
    assert [float(norm) for norm in found.norms] == [float(one.norm()) for one in gradients_of(model)]
    assert torch.equal(found.norm, nn.utils.get_total_norm(gradients_of(model)))


def test_a_model_without_any_has_none() -> None:
    assert Gradients.of(nn.Linear(2, 2)) is None


@pytest.mark.parametrize("most", [0.5, 100.0])
@pytest.mark.parametrize("by_value", [False, True])
def test_clipping_is_pytorchs(model: nn.Module, most: float, by_value: bool) -> None:
    found, before = Gradients.of(model), gradients_of(model)
    assert found is not None
    found.clip(most, by_value=by_value)
    after = gradients_of(model)
    for weight, gradient in zip(model.parameters(), before, strict=False):
        weight.grad = gradient
    (nn.utils.clip_grad_value_ if by_value else nn.utils.clip_grad_norm_)(model.parameters(), most)
    assert all(torch.equal(one, other) for one, other in zip(after, gradients_of(model), strict=True))


def test_dropped_there_are_none(model: nn.Module) -> None:
    found = Gradients.of(model)
    assert found is not None
    found.drop()
    assert Gradients.of(model) is None


def test_the_largest_is_one_that_is_no_number(model: nn.Module) -> None:
    found = Gradients.of(model)
    assert found is not None
    assert found.largest() == "largest gradient: 0.weight, 4.9"
    assert model[0].bias.grad is not None
    model[0].bias.grad[0] = float("nan")
    found = Gradients.of(model)
    assert found is not None
    assert found.largest() == "largest gradient: 0.bias, nan"


@pytest.mark.parametrize("fused", [False, True])
def test_only_what_lightning_leaves_scaled_is_unscaled(model: nn.Module, fused: bool) -> None:
    """An optimizer that is not fused is unscaled by Lightning itself, once."""
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale(torch.ones(()))  # makes the scale
    before = gradients_of(model)
    unscale(torch.optim.Adam(model.parameters(), fused=fused), scaler)
    for one, other in zip(gradients_of(model), before, strict=True):
        assert torch.equal(one, other / 4 if fused else other)
