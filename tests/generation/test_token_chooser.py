import math

import pytest
import torch

from lstm_lm.errors import RunError
from lstm_lm.generation import filters
from lstm_lm.generation.filters import Sampling
from lstm_lm.generation.token_chooser import TokenChooser

CPU = torch.device("cpu")
LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0, 0.5])
N = 20_000


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(temperature=0.5),
        Sampling(temperature=3.0),
        Sampling(top_k=2),
        Sampling(top_p=0.8),
        Sampling(min_p=0.3),
        Sampling(temperature=1.7, top_k=4, top_p=0.9, min_p=0.1),
    ],
)
def test_tokens_are_drawn_as_often_as_their_probabilities_say(sampling: Sampling) -> None:
    choose = TokenChooser(sampling, (N, 5), CPU, seed=5)
    counts = choose(LOGITS.expand(N, -1)).bincount(minlength=5).double()
    expected = filters.apply(LOGITS[None].double(), sampling).softmax(-1)[0] * N
    assert (counts[expected == 0] == 0).all()
    present = expected > 0
    chi_squared = ((counts - expected)[present] ** 2 / expected[present]).sum()
    assert chi_squared < 23.5, "0.01 % of correct samplers exceed this, with 4 degrees of freedom"


def test_successive_draws_are_independent_of_each_other() -> None:
    choose = TokenChooser(Sampling(), (1, 2), CPU, seed=1)
    draws = torch.cat([choose(torch.zeros(1, 2)) for _ in range(4000)])
    pairs = (2 * draws[:-1] + draws[1:]).bincount(minlength=4)
    assert (pairs - 3999 / 4).abs().max() < 6 * math.sqrt(3999 * 3 / 16)


@pytest.mark.parametrize("temperature", [0.0, 5e-324, 1e-35])
def test_no_temperature_and_next_to_none_are_greedy(temperature: float) -> None:
    choose = TokenChooser(Sampling(temperature), (2, 3), CPU, seed=1)
    for _ in range(200):
        assert choose(torch.tensor([[0.1, 0.3, 0.2], [9.0, -1.0, 8.0]])).tolist() == [1, 0]


def test_greedy_takes_the_first_of_equals() -> None:
    assert TokenChooser(Sampling(0.0), (1, 4), CPU, None)(torch.tensor([[0.0, 2.0, 2.0, 1.0]])).tolist() == [1]


def test_the_highest_temperature_is_uniform() -> None:
    choose = TokenChooser(Sampling(1e300), (N, 2), CPU, seed=1)
    share = choose(torch.tensor([[50.0, -50.0]]).expand(N, -1)).double().mean()
    assert abs(share - 0.5) < 0.03


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0.0), Sampling(top_k=2)])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_predictions_that_are_no_numbers_are_reported(sampling: Sampling, bad: float) -> None:
    with pytest.raises(RunError, match="diverged"):
        TokenChooser(sampling, (1, 3), CPU, seed=1)(torch.tensor([[0.0, bad, 0.0]]))


def test_a_model_may_rule_tokens_out() -> None:
    choose = TokenChooser(Sampling(), (100, 3), CPU, seed=1)
    assert set(choose(torch.tensor([[0.0, -math.inf, 0.0]]).expand(100, -1)).tolist()) == {0, 2}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_every_type_of_logits_will_do(dtype: torch.dtype) -> None:
    for sampling in (Sampling(), Sampling(0.5, 3, 0.9, 0.1), Sampling(2.0)):
        choose = TokenChooser(sampling, (50, 5), CPU, seed=1)
        assert choose(LOGITS.to(dtype).expand(50, -1)).shape == (50,)


def test_the_same_seed_draws_the_same_and_no_seed_something_else() -> None:
    def draws(seed: int | None) -> list[int]:
        choose = TokenChooser(Sampling(), (1, 5), CPU, seed)
        return [int(choose(LOGITS[None])) for _ in range(200)]

    assert draws(7) == draws(7)
    assert draws(7) != draws(8)
    assert draws(None) != draws(None)
    assert draws(2**63 - 1) == draws(2**63 - 1)


def test_torch_s_own_generator_is_not_touched() -> None:
    before = torch.get_rng_state()
    for seed in (1, None):
        TokenChooser(Sampling(), (3, 5), CPU, seed)(LOGITS.expand(3, -1))
    assert torch.equal(torch.get_rng_state(), before)
