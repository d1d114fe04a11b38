import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lstm_lm.generation import filters
from lstm_lm.generation.filters import Sampling

# Quarters, so that ties are frequent.
ROWS = st.lists(st.integers(-40, 40).map(lambda quarters: quarters / 4), min_size=1, max_size=12)
PROBABILITY = st.floats(0.001, 1.0)


def double(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def kept(filtered: Tensor) -> list[bool]:
    return filtered[0].isfinite().tolist()


def check_every_filter(before: Tensor, after: Tensor) -> None:
    """What holds for all of them."""
    keep = after.isfinite()
    assert keep[0, before.argmax()], "the most likely token is kept"
    assert (after[keep] == before[keep]).all(), "what is kept is not changed"
    if not keep.all():
        assert before[keep].min() > before[~keep].max(), "equal logits are treated alike"
    share = before.softmax(-1) * keep
    torch.testing.assert_close(after.softmax(-1), share / share.sum(), msg="the rest is renormalised")


@given(ROWS, st.integers(1, 15))
def test_top_k_keeps_the_k_most_likely_and_ties_with_the_last_of_them(row: list[float], k: int) -> None:
    after = filters.keep_top_k(double(row), k)
    check_every_filter(double(row), after)
    border = sorted(row, reverse=True)[min(k, len(row)) - 1]
    assert kept(after) == [logit >= border for logit in row]


@given(ROWS, PROBABILITY)
def test_top_p_keeps_the_smallest_nucleus_and_ties_with_its_last(row: list[float], p: float) -> None:
    before = double(row)
    after = filters.keep_top_p(before, p)
    check_every_filter(before, after)
    probabilities = before.softmax(-1)[0]
    keep = after[0].isfinite()
    assert probabilities[keep].sum() >= p - 1e-9
    border = probabilities[keep].min()
    assert probabilities[probabilities > border].sum() < p + 1e-9, "without its last tokens it is too small"


@given(ROWS, PROBABILITY)
def test_min_p_keeps_what_reaches_a_share_of_the_most_likely(row: list[float], p: float) -> None:
    after = filters.keep_min_p(double(row), p)
    check_every_filter(double(row), after)
    for logit, keep in zip(row, kept(after), strict=True):
        share = math.exp(logit - max(row))
        if abs(share - p) > 1e-9:
            assert keep == (share > p)


@given(ROWS, st.floats(0.05, 20.0))
def test_temperature_raises_probabilities_to_a_power(row: list[float], temperature: float) -> None:
    powers = double(row).softmax(-1) ** (1 / temperature)
    torch.testing.assert_close(filters.scale(double(row), temperature).softmax(-1), powers / powers.sum())


@given(ROWS, st.sampled_from([5e-324, 1e-40, 1e-30, 1e30, 1e300]))
def test_no_temperature_overflows(row: list[float], temperature: float) -> None:
    probabilities = filters.scale(torch.tensor([row]), temperature).softmax(-1)
    assert probabilities.isfinite().all()
    best = torch.tensor([logit == max(row) for logit in row]).float()
    expected = best / best.sum() if temperature < 1 else torch.full((len(row),), 1 / len(row))
    torch.testing.assert_close(probabilities[0], expected)


@given(ROWS, st.floats(0.1, 10.0), st.integers(1, 15), PROBABILITY, PROBABILITY)
def test_together_each_filter_sees_what_the_ones_before_it_left(
    row: list[float], temperature: float, k: int, p: float, m: float
) -> None:
    together = filters.apply(double(row), Sampling(temperature, k, p, m))
    expected = filters.scale(double(row), temperature)
    expected = filters.keep_min_p(filters.keep_top_p(filters.keep_top_k(expected, k), p), m)
    assert torch.equal(together, expected)
    assert together.isfinite().any()


def test_top_p_renormalises_after_top_k() -> None:
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    assert kept(filters.keep_top_p(logits, 0.5)) == [True, True, False, False]
    # of the two that are left, the first has 4/7 of the probability
    assert kept(filters.apply(logits, Sampling(top_k=2, top_p=0.5))) == [True, False, False, False]


@pytest.mark.parametrize("p", [1e-300, 1e-9])
def test_the_smallest_top_p_is_greedy(p: float) -> None:
    assert kept(filters.keep_top_p(torch.tensor([[0.0, 1.0, 0.5]]), p)) == [False, True, False]


def test_top_p_of_a_large_flat_vocabulary_looks_beyond_the_first_tokens() -> None:
    logits = torch.linspace(1, 0, 1000, dtype=torch.float64).expand(2, -1)
    after = filters.keep_top_p(logits, 0.9)
    cumulative = logits[0].softmax(-1).cumsum(-1)
    assert after.isfinite().sum(-1).tolist() == [int((cumulative < 0.9).sum()) + 1] * 2


def test_each_row_is_filtered_on_its_own() -> None:
    rows = torch.tensor([[3.0, 0.0, 1.0], [0.0, 0.1, 0.2]])
    sampling = Sampling(0.7, 2, 0.9, 0.05)
    together = filters.apply(rows, sampling)
    assert torch.equal(together, torch.cat([filters.apply(row[None], sampling) for row in rows]))


@pytest.mark.parametrize(
    "switched_off",
    [
        lambda logits: filters.keep_top_k(logits, 3),
        lambda logits: filters.keep_top_p(logits, 1.0),
        lambda logits: filters.keep_min_p(logits, 0.0),
    ],
)
def test_a_filter_that_is_off_does_nothing_at_all(switched_off: Callable[[Tensor], Tensor]) -> None:
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(1))
    assert switched_off(logits) is logits


def test_filters_are_skipped_where_none_can_drop_a_token() -> None:
    assert not Sampling().filters(10)
    assert not Sampling(temperature=2.0, top_k=10).filters(10)
    assert not Sampling(temperature=0.0, top_k=2, top_p=0.5, min_p=0.1).filters(10), "greedy anyway"
    assert all(one.filters(10) for one in (Sampling(top_k=9), Sampling(top_p=0.5), Sampling(min_p=0.1)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1.0},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"min_p": -0.1},
        {"min_p": 1.1},
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)  # type: ignore[arg-type]
