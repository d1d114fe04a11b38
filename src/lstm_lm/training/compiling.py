"""`compile=`: torch.compile where it takes effect.

TorchDynamo refuses the vendor's LSTM, so a model compiled as a whole runs eagerly without saying so. What lies around
the stack of layers compiles: each such part becomes one full graph.
"""

from dataclasses import dataclass

import torch
from torch._dynamo.utils import counters

from lstm_lm.models.interface import LanguageModel
from lstm_lm.training.objectives.interface import Objective


@dataclass(frozen=True)
class CompileCounts:
    """What TorchDynamo has done since `reset`."""

    graphs: int
    breaks: int


def compile_parts(model: LanguageModel, objective: Objective, mode: str) -> None:
    """Compile, in place, every part of both that can be one graph; names in the state dict stay as they are."""
    objective.compile(mode)
    for name in model.compilable:
        # dynamic: an epoch's last window is shorter, and must not compile again
        model.get_submodule(name).compile(mode=mode, fullgraph=True, dynamic=True)


def reset() -> None:
    """Forget compiled code and counts: a sweep's next job starts from nothing."""
    torch._dynamo.reset()
    counters.clear()


def counts() -> CompileCounts:
    """Graphs compiled and graph breaks met since `reset`."""
    return CompileCounts(counters["stats"]["unique_graphs"], sum(counters["graph_break"].values()))
