"""What regularises a model: drawn by the model in one order, the same under every strategy, gone in evaluation."""

import dataclasses
from typing import Any

import pytest
import torch
from rounding import Bound, Results, assert_close, bound
from test_recurrent_language_model import TOKENS, model
from torch import Tensor, nn

from lstm_lm.forward.interface import Masks, Stack, StackState, Strategy, Workload
from lstm_lm.forward.strategies.stepwise import Stepwise
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel
from lstm_lm.registry import find, names

CPU = torch.device("cpu")
STRATEGIES = names("lstm_lm.forward.strategies")
ON_THE_VENDORS_KERNEL: dict[str, Any] = {
    "dropout": 0.3,
    "embedding_word_dropout": 0.2,
    "weight_drop": 0.4,
    "locked_dropout": True,
}
INSIDE: dict[str, Any] = {"recurrent_dropout": 0.3, "zoneout_hidden": 0.2, "zoneout_cell": 0.25}
EVERY: dict[str, Any] = {**ON_THE_VENDORS_KERNEL, **INSIDE, "layer_norm": True, "activation": "relu"}


def strategy_for(name: str, lm: RecurrentLanguageModel) -> Strategy:
    """Skips the test where it cannot run the model."""
    strategy: Strategy = find("lstm_lm.forward.strategies", name, "forward").STRATEGY()
    reason = strategy.supports(lm.stack.spec, CPU, torch.float64)
    if reason is not None:
        pytest.skip(reason)
    return strategy


def loss_and_gradients(lm: RecurrentLanguageModel, strategy: Strategy) -> Results:
    lm.stack.strategy = strategy
    lm.masks.seed(3)
    lm.zero_grad()
    state = lm.initial_state(4)
    losses = []
    try:
        for _ in range(2):  # a second window draws on
            logits, state = lm(TOKENS, state)
            losses.append(nn.functional.cross_entropy(logits.flatten(0, 1), TOKENS.roll(-1, 0).flatten()))
        torch.stack(losses).sum().backward()
    finally:
        strategy.close()
    gradients = [parameter.grad for parameter in lm.parameters()]
    assert all(gradient is not None for gradient in gradients)
    return Results(tuple(losses), (), tuple(gradient.clone() for gradient in gradients if gradient is not None))


def allowed(lm: RecurrentLanguageModel) -> Bound:
    """For `loss_and_gradients`: two windows, with the head and the loss above the stack."""
    return bound(lm.stack.spec, torch.cat([TOKENS, TOKENS]), torch.float64, beside=2)


@pytest.mark.parametrize("settings", [ON_THE_VENDORS_KERNEL, EVERY], ids=["on the vendor's kernel", "every one"])
@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "stepwise"])
def test_the_same_seed_gives_the_same_loss_under_every_strategy(name: str, settings: dict[str, Any]) -> None:
    lm = model(hidden_size=[8, 8], **settings).double()
    strategy = strategy_for(name, lm)
    expected = loss_and_gradients(lm, Stepwise())
    assert_close(loss_and_gradients(lm, strategy), expected, allowed(lm))


@pytest.mark.parametrize(
    "settings",
    [
        {**ON_THE_VENDORS_KERNEL, "recurrent_dropout": 0.3, "zoneout_hidden": 0.2, "name": "gru"},
        {**ON_THE_VENDORS_KERNEL, "zoneout_hidden": 0.2, "name": "rnn"},
        {**ON_THE_VENDORS_KERNEL, "name": "gru"},
    ],
    ids=lambda settings: settings["name"] + (", inside" if "zoneout_hidden" in settings else ""),
)
@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "stepwise"])
def test_other_cells_are_regularised_alike_under_every_strategy(name: str, settings: dict[str, Any]) -> None:
    lm = model(hidden_size=[8, 8], **settings).double()
    strategy = strategy_for(name, lm)
    expected = loss_and_gradients(lm, Stepwise())
    assert_close(loss_and_gradients(lm, strategy), expected, allowed(lm))


class Watcher(Stepwise):
    """Keeps what a strategy is given."""

    def run(self, stack: Stack, x: Tensor, state: StackState, masks: Masks) -> tuple[Tensor, StackState]:
        self.x, self.masks, self.weights = x, masks, [weights.weight_hh for weights in stack.layers()]
        return super().run(stack, x, state, masks)


def watch(lm: RecurrentLanguageModel) -> Watcher:
    watcher = Watcher()
    lm.stack.strategy = watcher
    lm(TOKENS, lm.initial_state(4))
    return watcher


def test_a_dropout_mask_is_drawn_for_every_step_or_locked_for_a_window() -> None:
    nn.init.ones_((lm := model(dropout=0.5)).embedding.weight)
    seen = watch(lm)
    assert seen.masks.between[0].shape == (5, 4, 8)
    assert len(set(map(str, seen.x.unbind(0)))) == 5, "another mask on what each step reads"

    nn.init.ones_((lm := model(dropout=0.5, locked_dropout=True)).embedding.weight)
    seen = watch(lm)
    assert seen.masks.between[0].shape == (1, 4, 8)
    assert (seen.x == seen.x[0]).all(), "one mask on what all steps read"
    assert (seen.x[0] == 0).any()
    before, after = seen.masks.between[0], watch(lm).masks.between[0]
    assert not torch.equal(before, after), "the next window has another"


def test_the_output_mask_is_locked_too() -> None:
    lm = model(output_dropout=0.5, locked_dropout=True)
    given: list[Tensor] = []
    lm.head.register_forward_pre_hook(lambda module, arguments: given.append(arguments[1]))
    lm(TOKENS, lm.initial_state(4))
    assert given[0].shape == (1, 4, 8)


def test_recurrent_dropout_and_zoneout_draw_a_mask_for_every_step_and_layer() -> None:
    layers = watch(model(**INSIDE)).masks.inside
    assert len(layers) == 2
    scale = 1 / 0.7
    for layer in layers:
        for mask, values in zip(layer, ({0.0, scale}, {0.0, 1.0}, {0.0, 1.0}), strict=True):
            assert mask is not None
            assert mask.shape == (5, 4, 8)
            assert sorted(mask.unique().tolist()) == pytest.approx(sorted(values), rel=1e-4)


def test_zoneout_keeps_the_share_that_was_asked_for() -> None:
    lm = model(zoneout_hidden=0.2, hidden_size=64)
    lm.masks.seed(1)
    (mask, *_) = (layer.hidden for layer in watch(lm).masks.inside)
    assert mask is not None
    assert mask.mean().item() == pytest.approx(0.2, abs=0.05)


def test_what_acts_inside_a_step_does_not_move_the_other_draws() -> None:
    """Dropout is drawn first: a run with zoneout differs from one without by zoneout alone."""
    masks = []
    for settings in ({}, INSIDE):
        lm = model(dropout=0.5, **settings)
        lm.masks.seed(7)
        masks.append(watch(lm).masks.between[0])
    assert torch.equal(*masks)


def test_weight_drop_leaves_the_parameters_as_they_are() -> None:
    lm = model(weight_drop=0.5)
    before = {name: tensor.clone() for name, tensor in lm.state_dict().items()}
    first, second = watch(lm).weights, watch(lm).weights
    for parameter, dropped, again in zip(lm.stack.layer_parameters(), first, second, strict=True):
        zero = dropped == 0
        assert 0.3 < zero.float().mean() < 0.7
        torch.testing.assert_close(dropped[~zero], 2 * parameter.weight_hh[~zero])
        assert not torch.equal(dropped, again), "another mask for the next window"
    assert lm.state_dict().keys() == model().state_dict().keys(), "plain names"
    for name, tensor in lm.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_dropped_weights_get_no_gradient_in_that_window() -> None:
    lm = model(weight_drop=0.5)
    watcher = watch(lm)
    lm.masks.seed(5)
    logits, _ = lm(TOKENS, lm.initial_state(4))
    logits.square().sum().backward()
    for parameter, dropped in zip(lm.stack.layer_parameters(), watcher.weights, strict=True):
        assert parameter.weight_hh.grad is not None
        assert not parameter.weight_hh.grad[dropped == 0].any()
        assert parameter.weight_hh.grad.any()


def test_in_evaluation_nothing_is_dropped_and_zoneout_is_its_expectation() -> None:
    lm = model(**EVERY).eval()
    state = lm.masks.state()
    seen = watch(lm)
    assert seen.masks.between == ()
    assert all(
        dropped is kept.weight_hh for dropped, kept in zip(seen.weights, lm.stack.layer_parameters(), strict=True)
    )
    for layer in seen.masks.inside:
        assert layer.candidate is None
        assert layer.hidden is not None
        assert layer.cell is not None
        torch.testing.assert_close(layer.hidden, torch.full((1, 1, 8), 0.2))
        torch.testing.assert_close(layer.cell, torch.full((1, 1, 8), 0.25))
    assert lm.masks.state() == state, "nothing was drawn"


def test_trained_with_recurrent_dropout_it_is_evaluated_by_the_vendors_kernel() -> None:
    lm = model(recurrent_dropout=0.3, dropout=0.3, weight_drop=0.3)
    workload = Workload(batch_size=4, steps=len(TOKENS), dtype=torch.float32, training=True)
    assert lm.use_forward("auto", CPU, workload).strategy.name != "fused"
    assert lm.stack.spec.deviations == ("recurrent_dropout=0.3",)
    expected = lm.eval()(TOKENS, lm.initial_state(4))[0]
    scoring = dataclasses.replace(workload, training=False)
    assert lm.use_forward("fused", CPU, scoring).strategy.name == "fused"
    assert not lm.stack.spec.layer_dropout
    two = bound(lm.stack.spec, TOKENS, torch.float32, reference=torch.float32, beside=1)  # the head
    assert_close(Results((lm(TOKENS, lm.initial_state(4))[0],)), Results((expected,)), two)


def test_zoneout_keeps_evaluation_off_the_vendors_kernel_too() -> None:
    assert model(**INSIDE).spec_for(training=False).deviations == ("zoneout_hidden=0.2", "zoneout_cell=0.25")


def test_a_plain_lstm_state_dict_loads_into_a_regularised_stack() -> None:
    plain = nn.LSTM(6, 8, num_layers=2)
    lm = model(**ON_THE_VENDORS_KERNEL, **INSIDE)
    lm.stack.load_state_dict(plain.state_dict())
    assert all(map(torch.equal, lm.stack.flat_weights(), plain.parameters()))


def test_layer_norm_adds_gains_and_a_bias_and_starts_neutral() -> None:
    lm = model(layer_norm=True, forget_bias=1.5)
    added = lm.state_dict().keys() - model().state_dict().keys()
    assert added == {
        f"stack.{name}_l{layer}" for name in ("gain_ih", "gain_hh", "gain_c", "bias_c") for layer in (0, 1)
    }
    assert all((parameter == 1).all() for name, parameter in lm.named_parameters() if "gain" in name)
    assert not any(parameter.any() for name, parameter in lm.named_parameters() if "bias_c" in name)
    for weights in lm.stack.layer_parameters():
        assert (weights.bias_ih.chunk(4)[1] == 1.5).all(), "the forget gate starts open"
    for weights in lm.stack.layers():
        assert not weights.bias_ih.any(), "the cell adds the biases, after normalising"


def kept_for_backward(lm: RecurrentLanguageModel) -> int:
    """Numbers in all tensors that autograd saves during one window, each memory counted once; parameters apart."""
    own = {parameter.untyped_storage().data_ptr() for parameter in lm.parameters()}
    saved: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.is_floating_point() and tensor.untyped_storage().data_ptr() not in own:
            saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        lm(TOKENS.repeat(4, 8), lm.initial_state(32))
    return sum(tensor.untyped_storage().nbytes() // 4 for tensor in saved.values())


@pytest.mark.parametrize(
    "settings",
    [{}, {"layer_norm": True}, INSIDE, EVERY, {"name": "gru"}, {"name": "rnn"}],
    ids=["plain", "layer norm", "inside", "every one", "gru", "rnn"],
)
def test_the_estimate_of_activations_is_near_what_autograd_keeps(settings: dict[str, Any]) -> None:
    lm = model(hidden_size=64, **settings)
    lm.stack.strategy = Stepwise()
    tokens = 20 * 32
    kept, logits = kept_for_backward(lm), tokens * lm.vocabulary_size * 3
    assert 0.6 < (lm.activation_floats(tokens) - logits) / kept < 1.5


@pytest.mark.parametrize("keys", [("recurrent_dropout",), ("zoneout_hidden", "zoneout_cell")])
def test_a_spec_names_its_settings_as_they_are_typed(keys: tuple[str, ...]) -> None:
    spec = model(**dict.fromkeys(keys, 0.1), layer_norm=True).spec_for(training=True)
    assert spec.deviations == ("layer_norm=true", *(f"{key}=0.1" for key in keys))
