"""`compile=`: torch.compile where it takes effect.

TorchDynamo refuses the vendor's LSTM, so a model compiled as a whole runs eagerly without saying so. What lies around
the stack of layers compiles, each such part as one full graph, and so does what a forward strategy hands over. What
has no chance of being compiled here is refused before training.
"""

from typing import NamedTuple

import torch
from torch._dynamo.utils import counters

from lstm_lm.errors import Unavailable, UserError
from lstm_lm.models.interface import LanguageModel
from lstm_lm.training.objectives.interface import Objective


class CompileCounts(NamedTuple):
    """What TorchDynamo has done since `reset`."""

    graphs: int
    breaks: int


def compile_parts(model: LanguageModel, objective: Objective, mode: str) -> None:
    """Compile, in place, every part of both that can be one graph; names in the state dict stay as they are.

    Raises:
        UserError: the model has no such part: all of it would run eagerly.
    """
    objective.compile(mode)
    if not model.compile_parts(mode):
        raise UserError(
            f"compile={mode}: this model has no part that torch.compile can take: nothing of it would be compiled\n"
            "use compile=none, or another model= or forward="
        )


def check_possible(mode: str, device: torch.device, *, profiler: str | None = None) -> None:
    """Refuse what could only fail, or do nothing, on this machine.

    Args:
        mode: torch.compile's mode.
        device: where the model runs.
        profiler: Lightning's, by its name.

    Raises:
        UserError: torch.compile is switched off, has no compiler here, or does not go with the device or profiler.
    """
    if profiler == "pytorch":
        raise UserError(
            f"compile={mode} and trainer.profiler=pytorch exclude each other: its hooks on every module cannot be "
            "compiled\nuse trainer.profiler=simple, or compile=none"
        )
    if mode == "reduce-overhead" and device.type != "cuda":
        # TorchInductor would skip CUDA graphs without a word, and a sweep would compare `default` with itself
        raise Unavailable(f"compile={mode}: CUDA graphs need an NVIDIA GPU: use compile=default on {device.type}")
    if torch._dynamo.config.disable:
        raise UserError(
            f"compile={mode}: TORCH_COMPILE_DISABLE=1 switches torch.compile off: unset it, or compile=none"
        )
    try:
        torch._dynamo.eval_frame.check_if_dynamo_supported()
    except RuntimeError as error:
        raise Unavailable(f"compile={mode}: {error}\nuse compile=none") from error
    if device.type == "cpu":
        _check_cpp_compiler(mode)
    elif device.type == "cuda":
        _check_triton(mode)


def reset() -> None:
    """Forget compiled code and counts: a sweep's next job starts from nothing."""
    torch._dynamo.reset()
    counters.clear()


def counts() -> CompileCounts:
    """Graphs compiled and graph breaks met since `reset`."""
    return CompileCounts(counters["stats"]["unique_graphs"], sum(counters["graph_break"].values()))


def _check_cpp_compiler(mode: str) -> None:
    from torch._inductor import config, cpp_builder  # slow to import: only where it is going to be used
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        cpp_builder.get_cpp_compiler()
    except (InvalidCxxCompiler, RuntimeError, OSError) as error:
        sought = config.cpp.cxx
        name = sought[-1] if isinstance(sought, (list, tuple)) else sought
        raise Unavailable(
            f"compile={mode}: needs a C++ compiler, and {name!r} does not run here\n"
            "install one (g++, clang++ or Visual Studio's cl), or name yours in the environment variable CXX\n"
            "or use compile=none"
        ) from error


def _check_triton(mode: str) -> None:
    from torch.utils._triton import has_triton

    if not has_triton():
        raise Unavailable(
            f"compile={mode}: needs Triton and a GPU of compute capability 7.0 or more\n"
            "install the package triton (triton-windows on Windows), or use compile=none"
        )
