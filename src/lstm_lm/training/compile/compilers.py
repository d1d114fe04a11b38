"""The compilers that torch.compile calls: whether they are here, and how they are ended with a run that fails."""

import contextlib
import sys
import time

import psutil
import torch

from lstm_lm.errors import Unavailable, UserError
from lstm_lm.training.config import CompileOptions

MOST_LOOKS, SECONDS_BETWEEN_LOOKS = 100, 0.05
"""For compilers that are to end: a thread that was about to start one does so once more."""


def check_possible(options: CompileOptions, device: torch.device, *, profiler: str | None = None) -> None:
    """Refuse what could only fail, or do nothing, on this machine.

    Args:
        options: nothing is refused where they are not enabled.
        device: where the model runs.
        profiler: Lightning's, by its name.

    Raises:
        UserError: torch.compile is switched off, has no compiler here, or does not go with the device or profiler.
    """
    if not options.enabled:
        return
    mode = options.mode
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


def end_compilers() -> None:
    """End the C++ compilers that this process has started; start none of those that wait for their turn.

    TorchInductor's threads wait for them, and the end of a process waits for the threads: as long as a compiler likes.
    """
    inductor = sys.modules.get("torch._inductor.async_compile")  # where it is not loaded, nothing was compiled
    if inductor is None or not inductor.AsyncCompile.pool.cache_info().currsize:
        return
    inductor.AsyncCompile.pool().shutdown(wait=False, cancel_futures=True)
    inductor.AsyncCompile.pool.cache_clear()  # a later run in this process gets another one
    for _ in range(MOST_LOOKS):
        compilers = _running_compilers()
        if not compilers:
            return
        for process in compilers:
            with contextlib.suppress(psutil.Error):  # it has ended
                process.kill()
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _running_compilers() -> list[psutil.Process]:
    """With what they have started: g++ is a driver of others."""
    from torch._inductor import cpp_builder

    compiler, found = cpp_builder.get_cpp_compiler(), []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if compiler in child.cmdline():
                child.suspend()  # so that it starts nothing more
                found += [*child.children(recursive=True), child]
    return found
