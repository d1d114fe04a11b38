"""Transformer and FFN: what they see is decided by context_size, never by how a text is cut into calls."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quick_compose import compose
from torch import Tensor
from windowed_models import NAMES, V, in_pieces, model, section, text

from lstm_lm.errors import UserError
from lstm_lm.forward.interface import Workload
from lstm_lm.models.build import build_model, model_class, model_options
from lstm_lm.models.interface import LanguageModel
from lstm_lm.registry import names

CPU = torch.device("cpu")
WORKLOAD = Workload(batch_size=4, steps=5, dtype=torch.float32, training=True)
each = pytest.mark.parametrize("name", NAMES)


@each
@pytest.mark.parametrize("gradients", [False, True])
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6), context_size=st.integers(1, 7))
def test_cutting_a_text_into_calls_changes_nothing(
    name: str, lengths: list[int], context_size: int, gradients: bool
) -> None:
    """With gradients a Transformer computes cached keys and values anew; without, it takes them as they are."""
    lm, tokens = model(name, context_size=context_size), text(sum(lengths))
    with torch.no_grad():
        whole, _ = lm(tokens, lm.initial_state(3))
    with torch.set_grad_enabled(gradients):
        torch.testing.assert_close(in_pieces(lm, tokens, lengths), whole, rtol=1e-10, atol=1e-10)


@each
def test_one_token_at_a_time_gives_the_logits_of_training(name: str) -> None:
    lm, tokens = model(name).float(), text(30)
    whole, _ = lm(tokens, lm.initial_state(3))
    with torch.inference_mode():
        torch.testing.assert_close(in_pieces(lm.eval(), tokens, [1] * 30), whole.detach(), rtol=1e-5, atol=1e-5)


def reach(lm: LanguageModel, tokens: Tensor, lengths: list[int]) -> list[int]:
    """At which distances back a token changes the last step's logits; 0: the newest one."""
    with torch.no_grad():
        before = in_pieces(lm, tokens, lengths)[-1]
        found = []
        for back in range(len(tokens)):
            other = tokens.clone()
            other[-1 - back] = (other[-1 - back] + 1) % V
            if not torch.equal(in_pieces(lm, other, lengths)[-1], before):
                found.append(back)
    return found


@each
@pytest.mark.parametrize("lengths", [[20], [1] * 20, [3, 9, 8]], ids=str)
def test_it_sees_as_far_as_its_context_limit_and_no_further(name: str, lengths: list[int]) -> None:
    lm = model(name)
    assert lm.context_limit == (4 if name == "ffn" else 2 * 3 + 1)
    assert reach(lm, text(20), lengths) == list(range(lm.context_limit))


@each
def test_a_single_layer_sees_context_size_tokens(name: str) -> None:
    lm = model(name, num_layers=1, context_size=5)
    assert lm.context_limit == 5
    assert reach(lm, text(12), [12]) == [0, 1, 2, 3, 4]


@each
def test_no_step_sees_a_later_one(name: str) -> None:
    lm, tokens = model(name), text(10)
    other = tokens.clone()
    other[6:] = (other[6:] + 1) % V
    first, second = (lm(each_text, lm.initial_state(3))[0] for each_text in (tokens, other))
    assert torch.equal(first[:6], second[:6])
    assert not torch.equal(first[6], second[6])


@each
def test_streams_know_nothing_of_each_other(name: str) -> None:
    lm, tokens = model(name), text(9)
    together = in_pieces(lm, tokens, [4, 5])
    for stream in range(3):
        alone = in_pieces(lm, tokens[:, stream : stream + 1], [4, 5])
        torch.testing.assert_close(together[:, stream : stream + 1], alone, rtol=1e-10, atol=1e-10)


@each
def test_the_state_is_all_zeros_first_and_never_grows(name: str) -> None:
    lm = model(name)
    shapes = []
    state = lm.initial_state(3)
    assert not any(tensor.any() for tensor in flat(state))
    for steps in (1, 9, 2):
        shapes.append([tensor.shape for tensor in flat(state)])
        _, state = lm(text(steps), state)
    assert shapes[0] == shapes[1] == shapes[2] == [tensor.shape for tensor in flat(state)]


def flat(state: Any) -> list[Tensor]:
    return [state] if isinstance(state, Tensor) else [tensor for part in state for tensor in flat(part)]


@each
def test_dropout_acts_in_training_only_and_comes_from_the_models_own_masks(name: str) -> None:
    lm, tokens = model(name, dropout=0.5), text(6)

    def logits() -> Tensor:
        lm.masks.seed(3)
        out: Tensor = lm(tokens, lm.initial_state(3))[0]
        return out

    torch.manual_seed(1)
    first = logits()
    torch.manual_seed(2)
    assert torch.equal(logits(), first)
    assert not torch.equal(lm(tokens, lm.initial_state(3))[0], first)
    lm.eval()
    assert torch.equal(lm(tokens, lm.initial_state(3))[0], lm(tokens, lm.initial_state(3))[0])


@each
@pytest.mark.parametrize("key", ["embedding_dropout", "layer_dropout", "output_dropout"])
def test_each_dropout_acts(name: str, key: str) -> None:
    lm, tokens = model(name, **{key: 0.5}), text(6)
    assert not torch.equal(lm(tokens, lm.initial_state(3))[0], lm(tokens, lm.initial_state(3))[0])


@each
def test_tied_weights_are_one_parameter(name: str) -> None:
    width = {"embedding_size": 8, "hidden_size": 8}
    tied, free = model(name, tie_weights=True, **width), model(name, **width)
    assert free.num_parameters() - tied.num_parameters() == V * 8


@each
def test_gradients_reach_every_parameter_from_an_initial_and_from_a_carried_state(name: str) -> None:
    lm = model(name)
    state = lm.initial_state(3)
    for _ in range(2):
        lm.zero_grad()
        logits, state = lm(text(6), state)
        logits.square().sum().backward()
        assert all(parameter.grad is not None for parameter in lm.parameters())
        state = detached(state)


def detached(state: Any) -> Any:
    return state.detach() if isinstance(state, Tensor) else tuple(detached(part) for part in state)


@each
def test_it_starts_close_to_a_uniform_prediction(name: str) -> None:
    torch.manual_seed(0)
    values: dict[str, Any] = compose(f"model={name}")["model"]
    lm, tokens = build_model(values, V), text(40, 8)
    logits, _ = lm(tokens, lm.initial_state(8))
    loss = torch.nn.functional.cross_entropy(logits[:-1].flatten(0, 1), tokens[1:].flatten())
    assert loss.item() == pytest.approx(torch.tensor(float(V)).log().item(), abs=0.5)


# How it runs


@each
def test_there_is_one_way_to_run_it(name: str) -> None:
    way = model(name).use_forward("auto", CPU, WORKLOAD)
    assert (way.name, way.reason) == ("direct", "no recurrent layers")
    for strategy in names("lstm_lm.forward.strategies"):
        for refuse in (
            lambda chosen=strategy: model(name).use_forward(chosen, CPU, WORKLOAD),
            lambda chosen=strategy: model_class(name).check_forward({"name": chosen}),
        ):
            with pytest.raises(UserError, match=f"forward={strategy}: .* recurrent layers") as caught:
                refuse()
            assert str(caught.value).count("\n") <= 1


def kept_for_backward(lm: LanguageModel, tokens: Tensor) -> int:
    """Numbers in all tensors that autograd saves during one window, each memory counted once; parameters apart."""
    own = {parameter.untyped_storage().data_ptr() for parameter in lm.parameters()}
    saved: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.is_floating_point() and tensor.untyped_storage().data_ptr() not in own:
            saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        lm(tokens, lm.initial_state(tokens.shape[1]))
    return sum(tensor.untyped_storage().nbytes() // 8 for tensor in saved.values())


@each
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_the_estimate_of_activations_is_near_what_autograd_keeps(name: str, dropout: float) -> None:
    lm = model(name, dropout=dropout, embedding_size=32, hidden_size=64, context_size=24)
    tokens = text(24, 16)
    logits = tokens.numel() * V * 3
    assert 0.6 < (lm.activation_floats(tokens.numel()) - logits) / kept_for_backward(lm, tokens) < 1.5


# Options


@pytest.mark.parametrize(
    ("name", "changes", "key"),
    [
        ("transformer", {"num_heads": 3}, "embedding_size=8 must be a multiple of num_heads=3"),
        ("transformer", {"num_heads": 8}, "heads of 1: rotary positions need an even number"),
        ("transformer", {"context_size": 0}, "model.context_size=0"),
        ("transformer", {"activation": "relu"}, "model.activation='relu'"),
        ("transformer", {"rotary_base": 1.0}, "model.rotary_base=1.0: must be greater than 1"),
        ("transformer", {"hidden_size": [8, 8]}, "model.hidden_size"),
        ("ffn", {"hidden_size": [8]}, "hidden_size=[8] has 1 widths for num_layers=2"),
        ("ffn", {"tie_weights": True}, "tie_weights=true needs embedding_size=3"),
        ("ffn", {"context_size": 0}, "model.context_size=0"),
        ("ffn", {"activation": "swiglu"}, "model.activation='swiglu'"),
        ("ffn", {"dropout": 1.0}, "model.dropout=1.0: must be less than 1"),
    ],
)
def test_a_wrong_option_is_refused_by_key_value_and_range(name: str, changes: dict[str, Any], key: str) -> None:
    with pytest.raises(UserError) as caught:
        model_options(section(name, **changes))
    assert key in str(caught.value)
    assert str(caught.value).count("\n") < 4
