"""Everything about this process that a run may change and a process can put back.

Some of it the project sets, some PyTorch, Lightning and TorchInductor set on its behalf: flags, generators, environment
variables. What is not here cannot be put back: see `settings.py`.
"""

import os
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

Undo = Callable[[], None]


def remember() -> Undo:
    """Note how things are; what it gives puts them back as they are now."""
    undos = [*_flags(), _float32_precision(), _environment(), *_generators(), *_compiler(), _current_gpu()]

    def undo() -> None:
        for step in undos:
            step()

    return undo


def gpu_in_use() -> bool:
    """Whether this process has begun to use a CUDA device; asking for more would begin it."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def _flags() -> Iterator[Undo]:
    threads = torch.get_num_threads()
    yield lambda: torch.set_num_threads(threads)
    dtype = torch.get_default_dtype()
    yield lambda: torch.set_default_dtype(dtype)
    grad = torch.is_grad_enabled()
    yield lambda: _discard(torch.set_grad_enabled(grad))
    anomaly, check_nan = torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()
    yield lambda: _discard(torch.autograd.set_detect_anomaly(anomaly, check_nan))
    cudnn = torch.backends.cudnn
    for name in ("enabled", "benchmark", "deterministic"):
        yield _attribute(cudnn, name)
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    yield lambda: torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


def _float32_precision() -> Undo:
    """TensorFloat-32 and its like. PyTorch has two ways to set them, of which each may refuse to read the other's."""
    backends: Any = torch.backends  # PyTorch does not declare all that is there
    matmul = _read_or(torch.get_float32_matmul_precision, "highest")
    cudnn = _read_or(lambda: backends.cudnn.allow_tf32, True)
    # Those around the others first: theirs are taken over by what has none of its own.
    places: list[Any] = [backends, backends.cuda.matmul, backends.cudnn, backends.cudnn.conv, backends.cudnn.rnn]
    places += [backends.mkldnn, backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn]
    each = [_attribute(place, "fp32_precision") for place in places]

    def undo() -> None:
        torch.set_float32_matmul_precision(matmul)
        backends.cudnn.allow_tf32 = cudnn
        for step in each:
            step()

    return undo


def _environment() -> Undo:
    """Lightning and TorchInductor set variables for libraries and for processes that they start."""
    before = dict(os.environ)

    def undo() -> None:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value

    return undo


def _generators() -> Iterator[Undo]:
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield lambda: random.setstate(python)
    yield lambda: np.random.set_state(numpy)
    yield lambda: torch.set_rng_state(cpu)
    if gpu_in_use():  # else there is nothing yet, and asking would make it
        gpus = torch.cuda.get_rng_state_all()
        yield lambda: torch.cuda.set_rng_state_all(gpus)
    if torch.backends.mps.is_available():
        apple = torch.mps.get_rng_state()
        yield lambda: torch.mps.set_rng_state(apple)


def _compiler() -> Iterator[Undo]:
    """The settings of torch.compile, where it is loaded."""
    for name in ("torch._dynamo.config", "torch._inductor.config"):
        config: Any = sys.modules.get(name)
        if config is not None:
            yield _settings(config, config.get_config_copy())


def _settings(config: Any, before: dict[str, Any]) -> Undo:
    def undo() -> None:
        for name, value in config.get_config_copy().items():
            if name in before and value != before[name]:
                setattr(config, name, before[name])

    return undo


def _current_gpu() -> Undo:
    before = torch.cuda.current_device() if gpu_in_use() else 0

    def undo() -> None:
        if gpu_in_use():
            torch.cuda.set_device(before)

    return undo


def _attribute(place: Any, name: str) -> Undo:
    before = getattr(place, name)
    return lambda: setattr(place, name, before)


def _read_or(read: Callable[[], Any], otherwise: Any) -> Any:
    """What `read` gives; `otherwise`, PyTorch's own default, where the caller has used the other way."""
    try:
        return read()
    except RuntimeError:
        return otherwise


def _discard(_: object) -> None:
    """For what is called for its effect."""
