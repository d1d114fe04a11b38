"""The average beside the weights: what it is, and that putting it in their place changes nothing that is trained."""

import pytest
import torch
from quick_compose import compose
from torch import nn

from lstm_lm.training.averaging import build_averaging
from lstm_lm.training.weight_average import WeightAverage


def averaged(model: nn.Module, *overrides: str) -> WeightAverage:
    return WeightAverage(model, build_averaging(compose(*overrides)["averaging"], {}))


def take_steps(model: nn.Module, average: WeightAverage, steps: int) -> list[torch.Tensor]:
    """`weight` after each step."""
    taken = []
    for _ in range(steps):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.after_step()
        taken.append(model.get_parameter("weight").detach().clone())
    return taken


def test_it_is_the_average_and_the_weights_come_back_bit_by_bit() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    average = averaged(model, "averaging=ema", "averaging.decay=0.5", "averaging.start_step=1")
    taken = take_steps(model, average, 4)
    assert average.count == 3
    expected = (0.125 * taken[1] + 0.25 * taken[2] + 0.5 * taken[3]) / 0.875
    with average.in_place():
        torch.testing.assert_close(model.weight.detach(), expected)
        with average.in_place():  # once is enough
            torch.testing.assert_close(model.weight.detach(), expected)
        torch.testing.assert_close(model.weight.detach(), expected)
        with pytest.raises(RuntimeError, match="checkpoint"):
            average.state_dict()
    assert torch.equal(model.weight, taken[-1])


def test_the_weights_come_back_after_an_error_too() -> None:
    model = nn.Linear(3, 2)
    average = averaged(model, "averaging=ema")
    last = take_steps(model, average, 3)[-1]
    with pytest.raises(ZeroDivisionError), average.in_place():
        nn.init.constant_(model.weight, 1 / int(torch.equal(model.weight, last)))
    assert torch.equal(model.weight, last)


def test_before_it_begins_the_weights_are_used() -> None:
    model = nn.Linear(3, 2)
    average = averaged(model, "averaging=none")
    last = take_steps(model, average, 3)[-1]
    with average.in_place():
        assert torch.equal(model.weight, last)
    assert average.state_dict()["weights"] == {}


def test_the_parameters_stay_the_same_tensors() -> None:
    """Optimizers, vendors' layouts and CUDA graphs go by addresses."""
    model = nn.Linear(3, 2)
    average = averaged(model, "averaging=ema")
    take_steps(model, average, 2)
    before = [(id(parameter), parameter.data_ptr()) for parameter in model.parameters()]
    with average.in_place():
        assert [(id(parameter), parameter.data_ptr()) for parameter in model.parameters()] == before
    average.keep()
    assert [(id(parameter), parameter.data_ptr()) for parameter in model.parameters()] == before


def test_kept_for_good_it_is_over() -> None:
    model = nn.Linear(3, 2)
    average = averaged(model, "averaging=ema")
    take_steps(model, average, 2)
    expected = average.state_dict()["weights"]["weight"].clone()
    average.keep()
    assert torch.equal(model.weight, expected)
    assert average.count == 0


def test_tied_weights_are_averaged_once_and_found_under_each_name() -> None:
    model = nn.Linear(3, 3)
    model.register_parameter("again", model.get_parameter("weight"))
    average = averaged(model, "averaging=ema")
    take_steps(model, average, 2)
    weights = average.state_dict()["weights"]
    assert weights["again"] is weights["weight"]
    assert set(weights) == {"weight", "bias", "again"}


def test_weights_of_16_bits_are_averaged_in_32() -> None:
    """A step of 1/1,000 of the way is less than bfloat16 can tell."""
    model = nn.Linear(1, 1, bias=False).to(torch.bfloat16)
    average = averaged(model, "averaging=asgd", "averaging.non_monotone=0")
    average.note_validation(1.0)
    average.note_validation(2.0)
    for step in range(1000):
        nn.init.constant_(model.weight, 1.0 + step % 2)
        average.after_step()
    mean = average.state_dict()["weights"]["weight"]
    assert mean.dtype == torch.float32
    torch.testing.assert_close(mean.item(), 1.5, atol=1e-4, rtol=0)


def test_it_continues_where_a_checkpoint_was_written() -> None:
    whole, parts = nn.Linear(3, 2), nn.Linear(3, 2)
    parts.load_state_dict(whole.state_dict())
    one, first, second = (averaged(model, "averaging=ema") for model in (whole, parts, parts))
    torch.manual_seed(0)
    take_steps(whole, one, 7)
    torch.manual_seed(0)
    take_steps(parts, first, 4)
    second.load_state_dict(first.state_dict())
    take_steps(parts, second, 3)
    ours, theirs = second.state_dict(), one.state_dict()
    torch.testing.assert_close(ours.pop("weights"), theirs.pop("weights"), rtol=0, atol=0)
    assert ours == theirs


def test_it_lies_beside_each_parameter() -> None:
    """Layers on several devices, and a checkpoint that was read onto one; `meta` stands in for a GPU."""
    model = nn.ParameterList([nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))])
    average = averaged(model, "averaging=ema")
    average.after_step()
    model[1] = nn.Parameter(torch.empty(2, device="meta"))
    average.beside_parameters()
    assert [value.device.type for value in average.state_dict()["weights"].values()] == ["cpu", "meta"]
    average.after_step()
