"""Activations, next to their definitions."""

import pytest
import torch

from lstm_lm.cells.activations import ACTIVATIONS, GATE_ACTIVATIONS

X = torch.linspace(-5, 5, 101, dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tanh", (X.exp() - (-X).exp()) / (X.exp() + (-X).exp())),
        ("relu", X * (X > 0)),
        ("leaky_relu", X * (X > 0) + 0.01 * X * (X <= 0)),
        ("sigmoid", 1 / (1 + (-X).exp())),
        ("hard_sigmoid", (X / 6 + 0.5).clamp(0, 1)),
    ],
)
def test_an_activation_is_what_its_definition_says(name: str, expected: torch.Tensor) -> None:
    torch.testing.assert_close({**ACTIVATIONS, **GATE_ACTIVATIONS}[name](X), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", GATE_ACTIVATIONS)
def test_a_gate_is_between_closed_and_open(name: str) -> None:
    gate = GATE_ACTIVATIONS[name]
    assert gate(X).min() >= 0
    assert gate(X).max() <= 1
    assert gate(torch.zeros(1)) == 0.5
