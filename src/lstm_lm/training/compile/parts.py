"""What is given to torch.compile, and what it has made of it.

TorchDynamo refuses the vendor's LSTM, so a model compiled as a whole runs eagerly without saying so. What lies around
the stack of layers compiles, each such part as one full graph, and so does what a forward strategy hands over.
"""

from typing import NamedTuple

import torch
from torch._dynamo.utils import counters

from lstm_lm.errors import UserError
from lstm_lm.models.interface import LanguageModel
from lstm_lm.training.config import CompileOptions
from lstm_lm.training.objectives.interface import Objective


class CompileCounts(NamedTuple):
    """What TorchDynamo has done since `reset`."""

    graphs: int
    breaks: int


def compile_parts(options: CompileOptions, model: LanguageModel, objective: Objective) -> None:
    """Mark, in place, every part of both that can be one graph; it is compiled when it first runs.

    Names in the state dict stay as they are. Does nothing where `options` are not enabled.

    Raises:
        UserError: the model has no such part: all of it would run eagerly.
    """
    if not options.enabled:
        return
    objective.compile(options.mode)
    if not model.compile_parts(options.mode):
        raise UserError(
            f"compile={options.mode}: this model has no part that torch.compile can take: nothing of it would be "
            "compiled\nuse compile=none, or another model= or forward="
        )


def reset() -> None:
    """Forget compiled code and counts, of the whole process."""
    torch._dynamo.reset()
    counters.clear()


def counts() -> CompileCounts:
    """Graphs compiled and graph breaks met since `reset`."""
    return CompileCounts(counters["stats"]["unique_graphs"], sum(counters["graph_break"].values()))
