"""All that a run may change about its process."""

import os
import random
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo
import torch._inductor.config

BACKENDS: Any = torch.backends
PRECISIONS = {
    "generic": BACKENDS,
    "cuda.matmul": BACKENDS.cuda.matmul,
    "cudnn": BACKENDS.cudnn,
    "cudnn.conv": BACKENDS.cudnn.conv,
    "cudnn.rnn": BACKENDS.cudnn.rnn,
    "mkldnn": BACKENDS.mkldnn,
    "mkldnn.matmul": BACKENDS.mkldnn.matmul,
    "mkldnn.conv": BACKENDS.mkldnn.conv,
    "mkldnn.rnn": BACKENDS.mkldnn.rnn,
}


def everything() -> dict[str, Any]:
    """Every setting of this process that a run could change."""
    return {
        "threads": torch.get_num_threads(),
        "inter-op threads": torch.get_num_interop_threads(),
        "Python's threads": sorted(thread.name for thread in threading.enumerate()),
        "float32 products": torch.get_float32_matmul_precision(),
        "cuda.matmul.allow_tf32": BACKENDS.cuda.matmul.allow_tf32,
        "cudnn.allow_tf32": BACKENDS.cudnn.allow_tf32,
        **{f"{name}.fp32_precision": place.fp32_precision for name, place in PRECISIONS.items()},
        "cudnn.enabled": BACKENDS.cudnn.enabled,
        "cudnn.benchmark": BACKENDS.cudnn.benchmark,
        "cudnn.deterministic": BACKENDS.cudnn.deterministic,
        "default type": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "deterministic, warn": torch.is_deterministic_algorithms_warn_only_enabled(),
        "gradients": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "anomalies": torch.is_anomaly_enabled(),
        "anomalies, NaN": torch.is_anomaly_check_nan_enabled(),
        "generator of Python": random.getstate(),
        "generator of numpy": [
            part.tolist() if isinstance(part, np.ndarray) else part for part in np.random.get_state()
        ],
        "generator of torch": torch.get_rng_state().tolist(),
        "environment": dict(os.environ),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "directory": str(Path.cwd()),
        "dynamo": torch._dynamo.config.get_config_copy(),
        "inductor": torch._inductor.config.get_config_copy(),
        "processes train together": torch.distributed.is_initialized(),
    }


def changed(before: dict[str, Any]) -> list[str]:
    return [name for name, value in everything().items() if value != before[name]]
