"""Too little memory on a device, whoever says so, and in whatever words."""

import re

_SAID = re.compile(
    r"\b(CUDA|HIP|MPS|XPU)\b.*\bout of memory"  # the caching allocators' and the runtimes' words
    r"|_STATUS_(?!\w*HOST_)(\w+_)?ALLOC(ATION)?_FAILED\b"  # cuBLAS, cuDNN (not of the host's), AMD's stand-ins
    r"|\bmiopenStatusAllocFailed\b",
    re.IGNORECASE,
)


def lacks_device_memory(error: BaseException) -> bool:
    """Whether `error` says that a GPU has too little memory for what was asked of it.

    Only PyTorch's own allocator has an error for that; libraries beside it, the runtime, and Apple's GPUs raise a plain
    RuntimeError. By name and text: torch need not have been imported. The texts are from PyTorch's sources and from
    reports; none has been met here, without a GPU.
    """
    if type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and _SAID.search(str(error)) is not None
