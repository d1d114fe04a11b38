"""Too little memory, on a device or on this side of it, whoever says so, and in whatever words."""

import errno
import re

_SAID = re.compile(
    r"\b(CUDA|HIP|MPS|XPU)\b.*\bout of memory"  # the caching allocators' and the runtimes' words
    r"|_STATUS_(?!\w*HOST_)(\w+_)?ALLOC(ATION)?_FAILED\b"  # cuBLAS, cuDNN (not of the host's), AMD's stand-ins
    r"|\bmiopenStatusAllocFailed\b",
    re.IGNORECASE,
)

_SAID_OF_THE_HOST = re.compile(
    r"DefaultCPUAllocator: (can't allocate memory|not enough memory)|\bstd::bad_alloc\b"
    r"|can't start new thread|\bResource temporarily unavailable\b.*\bthread|Cannot allocate memory"
)


def lacks_memory(error: BaseException) -> bool:
    """Whether `error` says that there is too little of any memory, or no room for another thread."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    said = isinstance(error, RuntimeError | ImportError) and _SAID_OF_THE_HOST.search(str(error)) is not None
    return said or lacks_device_memory(error)


def lacks_device_memory(error: BaseException) -> bool:
    """Whether `error` says that a GPU has too little memory for what was asked of it.

    Only PyTorch's own allocator has an error for that; libraries beside it, the runtime, and Apple's GPUs raise a plain
    RuntimeError. By name and text: torch need not have been imported. The texts are from PyTorch's sources and from
    reports; none has been met here, without a GPU.
    """
    if type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and _SAID.search(str(error)) is not None
