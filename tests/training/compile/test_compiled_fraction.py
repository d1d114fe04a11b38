"""The fraction of a step inside compiled graphs: forward and backward pass, each moment once."""

import torch

from lstm_lm.training.compile.watch import CompiledFraction


def test_the_fraction_counts_both_passes_and_nothing_twice() -> None:
    inner = torch.compile(torch.tanh, backend="aot_eager")
    outer = torch.compile(lambda x: inner(x).sin().sum(), backend="aot_eager", fullgraph=True)
    x = torch.randn(64, 64, requires_grad=True)
    outer(x).backward()  # compiles
    whole, half, none = CompiledFraction(), CompiledFraction(), CompiledFraction()
    with whole.watch(x.device):
        outer(x).backward()
    with half.watch(x.device):
        outer(x).backward()
        for _ in range(200):
            torch.tanh(x)
    with none.watch(x.device):
        torch.tanh(x)
    assert len(whole.graphs) == 1
    assert whole.fraction is not None
    assert half.fraction is not None
    assert 0 < half.fraction < whole.fraction <= 1
    assert none.fraction == 0
    assert CompiledFraction().fraction is None


def test_nothing_is_measured_where_another_profiler_works() -> None:
    seen = CompiledFraction()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]), seen.watch(torch.device("cpu")):
        torch.ones(1)
    assert seen.fraction is None
