"""The stacked LSTM language model: what its options do."""

from typing import Any

import pytest
import torch
from quick_compose import compose
from rounding import Results, assert_close, bound

from lstm_lm.errors import UserError
from lstm_lm.forward.interface import Workload
from lstm_lm.models.build import build_model, model_options
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel
from lstm_lm.registry import names


def section(**changes: Any) -> dict[str, Any]:
    known = changes.get("name", "lstm") if changes.get("name") in names("lstm_lm.models.backbones") else "lstm"
    values: dict[str, Any] = compose(f"model={known}")["model"] | {
        "embedding_size": 6,
        "hidden_size": 8,
        "num_layers": 2,
    }
    if "dropout" in changes:
        values |= dict.fromkeys(("embedding_dropout", "layer_dropout", "output_dropout"), changes["dropout"])
    return values | changes


def model(**changes: Any) -> RecurrentLanguageModel:
    torch.manual_seed(0)
    made = build_model(section(**changes), vocabulary_size=11)
    assert isinstance(made, RecurrentLanguageModel)
    return made


TOKENS = torch.arange(20).remainder(11).view(5, 4)  # [T, B]


def test_logits_have_a_row_for_every_token() -> None:
    logits, state = model()(TOKENS, model().initial_state(4))
    assert logits.shape == (5, 4, 11)
    assert len(state) == 2


def test_a_carried_state_continues_the_text() -> None:
    lm = model(hidden_size=[8, 3])
    whole, _ = lm(TOKENS, lm.initial_state(4))
    first, state = lm(TOKENS[:2], lm.initial_state(4))
    second, _ = lm(TOKENS[2:], state)
    allowed = bound(lm.stack.spec, TOKENS, torch.float32, reference=torch.float32, beside=1)  # the head
    assert_close(Results((torch.cat([first, second]),)), Results((whole,)), allowed)


def test_the_same_seed_gives_the_same_dropout_under_every_strategy() -> None:
    found = []
    for name in names("lstm_lm.forward.strategies"):
        lm = model(dropout=0.4)
        lm.masks.seed(3)
        workload = Workload(batch_size=4, steps=len(TOKENS), dtype=torch.float32, training=True)
        lm.use_forward(name, torch.device("cpu"), workload)
        found.append(Results((lm(TOKENS, lm.initial_state(4))[0],)))
        lm.close()
    allowed = bound(lm.stack.spec, TOKENS, torch.float32, reference=torch.float32, beside=1)
    for logits in found[1:]:
        assert_close(logits, found[0], allowed)


@pytest.mark.parametrize("key", ["embedding_dropout", "layer_dropout", "output_dropout"])
def test_each_dropout_acts_in_training_only(key: str) -> None:
    lm = model(**{key: 0.5})
    state = lm.initial_state(4)
    assert not torch.equal(lm(TOKENS, state)[0], lm(TOKENS, state)[0])
    lm.eval()
    assert torch.equal(lm(TOKENS, state)[0], lm(TOKENS, state)[0])


def test_forget_bias_is_the_sum_of_both_biases() -> None:
    for weights in model(forget_bias=1.5, init="orthogonal").stack.layers():
        i, f, g, o = (weights.bias_ih + weights.bias_hh).chunk(4)
        assert torch.all(f == 1.5)
        assert not any(part.any() for part in (i, g, o))


def test_tied_weights_are_one_parameter() -> None:
    free, tied = model(embedding_size=8), model(embedding_size=8, tie_weights=True)
    assert tied.head.weight is tied.embedding.weight
    assert free.num_parameters() - tied.num_parameters() == 11 * 8


def test_parameters_are_counted() -> None:
    per_layer = [4 * 8 * (6 + 8 + 2), 4 * 8 * (8 + 8 + 2)]
    assert model().num_parameters() == 11 * 6 + sum(per_layer) + 11 * 8 + 11


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"hidden_size": 0}, "model.hidden_size=0"),
        ({"hidden_size": [8, 0]}, "model.hidden_size"),
        ({"hidden_size": [8]}, "hidden_size=[8] has 1 widths for num_layers=2"),
        ({"num_layers": 0}, "model.num_layers=0"),
        ({"dropout": 1.5}, "model.dropout=1.5: must be less than 1"),
        ({"dropout": -0.1}, "model.dropout=-0.1: must be greater than or equal to 0"),
        ({"dropout": float("nan")}, "model.dropout=nan"),
        ({"tie_weights": True}, "tie_weights=true needs embedding_size=6"),
        ({"init": "random"}, "model.init='random'"),
        ({"width": 3}, "model.width: no such key"),
        ({"name": "gru", "forget_bias": 1.0}, "model.forget_bias: no such key"),
        ({"name": "gru", "zoneout_cell": 0.1}, "model.zoneout_cell: no such key"),
        ({"name": "rnn", "recurrent_dropout": 0.1}, "model.recurrent_dropout: no such key"),
        ({"name": "rnn", "activation": "leaky_relu"}, "model.activation='leaky_relu'"),
    ],
)
def test_a_wrong_option_is_refused_by_key_value_and_range(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(UserError) as caught:
        model_options(section(**changes))
    assert key in str(caught.value)
    assert str(caught.value).count("\n") < 4


def test_an_unknown_model_lists_those_there_are() -> None:
    with pytest.raises(UserError, match="lstm"):
        model_options(section(name="lstn"))
