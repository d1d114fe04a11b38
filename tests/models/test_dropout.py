"""Dropout masks: the right share, the right scale, and the same from the same seed whatever happens around them."""

import hypothesis
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.models import dropout
from lstm_lm.models.dropout import MaskSource, draws_raw_bits

LIKE = torch.empty(0)


def draw(seed: int, p: float = 0.3, shape: tuple[int, ...] = (7, 3, 5), like: torch.Tensor = LIKE) -> torch.Tensor:
    source = MaskSource()
    source.seed(seed)
    return source.draw(p, shape, like)


@pytest.fixture(params=["raw bits", "a number a value"])
def every_way_to_draw(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is for devices that cannot fill words with bits: Apple's, which none of these tests has run on."""
    if request.param == "a number a value":
        monkeypatch.setattr(dropout, "draws_raw_bits", lambda device: False)


def test_a_cpu_and_its_masks_are_as_ever() -> None:
    """A resumed run goes on with the masks that it would have had: these very bits."""
    assert draws_raw_bits("cpu")
    words = torch.empty(2, dtype=torch.int64).random_(-(2**63), None, generator=torch.Generator().manual_seed(3))
    expected = words.view(torch.int16)[:7] <= round(0.7 * 2**16) - 2**15 - 1
    assert torch.equal(draw(3, 0.3, (7,)) != 0, expected)


def test_a_device_that_refuses_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As MPS does: `random_` does not take the whole range there."""
    draws_raw_bits.cache_clear()
    take_part = torch.Tensor.random_

    def as_on_mps(self: torch.Tensor, start: int = 0, end: int | None = None, **how: torch.Generator) -> torch.Tensor:
        if start == -(2**63):
            raise RuntimeError("random_mps_ currently does not handle the lowest() -> max() range")
        return take_part(self, start, end, **how)

    monkeypatch.setattr(torch.Tensor, "random_", as_on_mps)
    try:
        assert not draws_raw_bits("cpu")
        assert set(draw(0, 0.5, (50,)).unique().tolist()) == {0.0, 2.0}
    finally:
        draws_raw_bits.cache_clear()


@pytest.mark.usefixtures("every_way_to_draw")
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@given(st.floats(0, 0.999), st.integers(1, 9), st.integers(1, 9))
def test_a_mask_is_zero_or_the_scale_that_keeps_the_mean(p: float, rows: int, columns: int) -> None:
    mask = draw(0, p, (rows, columns))
    assert mask.shape == (rows, columns)
    values = set(mask.unique().tolist())
    scale = max(values)
    assert values <= {0.0, scale}
    if scale:
        assert scale == pytest.approx(1 / (1 - p), rel=2e-2)  # the probability is a multiple of 1 / 65,536


@pytest.mark.usefixtures("every_way_to_draw")
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_the_share_of_zeros_is_p(p: float) -> None:
    count = 400_000
    zeros = (draw(1, p, (count,)) == 0).double().mean().item()
    assert zeros == pytest.approx(p, abs=5 * (p * (1 - p) / count) ** 0.5 + 1e-9)


def test_neighbouring_values_are_independent() -> None:
    """Four values come from one 64-bit word: none may follow from its neighbours."""
    kept = (draw(2, 0.5, (400_000,)) != 0).double()
    for lag in (1, 2, 3, 4, 8):
        assert abs(torch.corrcoef(torch.stack([kept[:-lag], kept[lag:]]))[0, 1].item()) < 0.01


@pytest.mark.usefixtures("every_way_to_draw")
def test_the_same_seed_gives_the_same_masks_and_another_seed_others() -> None:
    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3), draw(4))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_type_changes_nothing_but_the_type(dtype: torch.dtype) -> None:
    other = draw(5, like=torch.empty(0, dtype=dtype))
    assert other.dtype == dtype
    assert torch.equal(other != 0, draw(5) != 0)


def test_the_number_of_threads_changes_nothing() -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = draw(6, shape=(300_000,))
        torch.set_num_threads(2)
        assert torch.equal(draw(6, shape=(300_000,)), alone)
    finally:
        torch.set_num_threads(threads)


def test_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    draw(7)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("draws_before", [0, 3])
def test_a_saved_state_continues_where_it_was(draws_before: int) -> None:
    source = MaskSource()
    source.seed(8)
    for _ in range(draws_before):
        source.draw(0.5, (9,), LIKE)
    saved = source.state()
    expected = source.draw(0.5, (100,), LIKE)

    resumed = MaskSource()
    resumed.load_state(saved)
    assert resumed.state().keys() == saved.keys(), "saving again before the first draw loses nothing"
    assert torch.equal(resumed.draw(0.5, (100,), LIKE), expected)
