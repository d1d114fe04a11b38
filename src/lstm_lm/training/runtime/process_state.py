"""Everything about this process that a run may change and a process can put back.

Some of it the project sets, some PyTorch, Lightning and TorchInductor set on its behalf: flags, generators, environment
variables. What is not here cannot be put back: see `settings.py`.
"""

import os
import random
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch


def remember() -> Callable[[], None]:
    """Note how things are; what it returns puts them back as they are now."""
    undo = ExitStack()
    backends: Any = torch.backends  # PyTorch does not declare all that is there
    undo.callback(torch.set_num_threads, torch.get_num_threads())
    undo.callback(torch.set_default_dtype, torch.get_default_dtype())
    undo.callback(torch.set_grad_enabled, torch.is_grad_enabled())
    undo.callback(torch.autograd.set_detect_anomaly, torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled())
    for name in ("enabled", "benchmark", "deterministic"):
        undo.callback(setattr, backends.cudnn, name, getattr(backends.cudnn, name))
    undo.callback(
        torch.use_deterministic_algorithms,
        torch.are_deterministic_algorithms_enabled(),
        warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    _remember_float32_precision(undo, backends)
    undo.callback(_put_back_environment, dict(os.environ))
    undo.callback(random.setstate, random.getstate())
    undo.callback(np.random.set_state, np.random.get_state())
    undo.callback(torch.set_rng_state, torch.get_rng_state())
    if torch.backends.mps.is_available():
        undo.callback(torch.mps.set_rng_state, torch.mps.get_rng_state())
    if gpu_in_use():  # else there is nothing yet, and asking would make it
        undo.callback(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())
    undo.callback(_put_back_gpu, torch.cuda.current_device() if gpu_in_use() else 0)
    for name in ("torch._dynamo.config", "torch._inductor.config"):
        config: Any = sys.modules.get(name)
        if config is not None:
            undo.callback(_put_back_config, config, config.get_config_copy())
    return undo.close


def gpu_in_use() -> bool:
    """Whether this process has begun to use a CUDA device; asking for more would begin it."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def _remember_float32_precision(undo: ExitStack, backends: Any) -> None:
    """TensorFloat-32 and its like. PyTorch has two ways to set them, of which each may refuse to read the other's.

    What is noted last is put back first: the older way, then the newer one, whose backends pass theirs on to operators
    that have none of their own.
    """
    places = [backends, backends.cuda.matmul, backends.cudnn, backends.cudnn.conv, backends.cudnn.rnn]
    places += [backends.mkldnn, backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn]
    for place in reversed(places):
        undo.callback(setattr, place, "fp32_precision", place.fp32_precision)
    undo.callback(setattr, backends.cudnn, "allow_tf32", _read_or(lambda: backends.cudnn.allow_tf32, True))
    undo.callback(torch.set_float32_matmul_precision, _read_or(torch.get_float32_matmul_precision, "highest"))


def _read_or(read: Callable[[], Any], otherwise: Any) -> Any:
    """What `read` gives; `otherwise`, PyTorch's own default, where the caller has used the other way."""
    try:
        return read()
    except RuntimeError:
        return otherwise


def _put_back_environment(before: dict[str, str]) -> None:
    """Lightning and TorchInductor set variables for libraries and for processes that they start."""
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def _put_back_gpu(index: int) -> None:
    if gpu_in_use():
        torch.cuda.set_device(index)


def _put_back_config(config: Any, before: dict[str, Any]) -> None:
    for name, value in config.get_config_copy().items():
        if name in before and value != before[name]:
            setattr(config, name, before[name])
