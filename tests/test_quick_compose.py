"""What tests compose quickly is what `lstm_lm.compose` gives."""

import pytest
from quick_compose import compose

import lstm_lm


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        ("train", ["data=text", "data.path=a, b (1).txt", "model=gru", "model.hidden_size=3", "seed=2"]),
        ("train", ["study=precision_compile", "study.size=full", "trainer.max_epochs=-1"]),
        ("evaluate", ["method=context", "method.positions=3"]),
    ],
)
def test_both_give_the_same(command: str, typed: list[str]) -> None:
    for _ in range(2):  # the second time without Hydra
        assert compose(*typed, config_name=command) == lstm_lm.compose(*typed, config_name=command)
