"""`study=architectures` compares models of one size: its widths make it so."""

import pytest
import torch
from quick_compose import compose, composed

from lstm_lm.errors import UserError
from lstm_lm.models.build import build_model
from lstm_lm.sweeps.options import StudyOptions
from lstm_lm.sweeps.rows import Plan, make_plan

TOLERANCE = 0.02
VOCABULARIES = (65, 104, 150)
"""Characters: tiny Shakespeare's, the Python documentation's with the unknown one, and a text with more."""


def plan(size: str) -> Plan:
    study = StudyOptions.read(compose("study=architectures", f"study.size={size}")["study"])
    return make_plan(study, {}, composed)


@pytest.mark.parametrize("size", ["small", "full"])
def test_all_models_have_the_same_number_of_parameters(size: str) -> None:
    rows = plan(size).rows
    by_time = [row for row in rows if row.config["trainer"]["max_time"] is not None]
    assert len(rows) == 10
    assert len(by_time) == 5
    for half in (by_time, [row for row in rows if row not in by_time]):
        assert {row.config["model"]["name"] for row in half} == {"lstm", "gru", "rnn", "transformer", "ffn"}
    for vocabulary in VOCABULARIES:
        counts = {}
        for row in rows:
            with torch.device("meta"):
                model = build_model(row.config["model"], vocabulary)
            counts[row.config["model"]["name"]] = sum(parameter.numel() for parameter in model.parameters())
        for name, count in counts.items():
            assert abs(count / counts["lstm"] - 1) <= TOLERANCE, (name, vocabulary, counts)


@pytest.mark.parametrize("size", ["small", "full"])
def test_each_half_ends_by_its_own_limit_and_is_compared_within_itself(size: str) -> None:
    found = plan(size)
    for row in found.rows:
        trainer, other = row.config["trainer"], found.baseline("LSTM", row)
        assert (trainer["max_time"] is None) == (trainer["max_steps"] > 0)
        assert trainer["max_epochs"] == -1
        assert other is not None
        assert other.config["model"]["name"] == "lstm"
        assert other.config["trainer"] == trainer


def test_it_can_be_cut_to_some_models() -> None:
    section = compose("study=architectures", "study.models=[rnn,lstm]")["study"]
    found = make_plan(StudyOptions.read(section), {}, composed)
    assert {row.config["model"]["name"] for row in found.rows} == {"lstm", "rnn"}
    assert len(found.rows) == 4
    whole = {row.key for row in plan("small").rows}
    assert {row.key for row in found.rows} < whole, "a row is the same one, whatever it is compared with"
    assert all(found.baseline("LSTM", row) is not None for row in found.rows)


def test_a_model_that_no_row_is_of_is_refused_with_those_that_there_are() -> None:
    section = compose("study=architectures", "study.models=[mamba]")["study"]
    with pytest.raises(UserError, match=r"mamba.*\n.*lstm, gru, rnn, transformer, ffn"):
        make_plan(StudyOptions.read(section), {}, composed)
