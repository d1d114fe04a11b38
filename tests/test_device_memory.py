"""Too little memory on a GPU: what says so, in the words of the libraries, and what does not."""

import pytest
import torch

from lstm_lm.device_memory import lacks_device_memory
from lstm_lm.errors import RunError

SAY_SO = {
    "PyTorch": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of"),
    "runtime": torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    "cuBLAS": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "cuDNN 8": RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    "cuDNN 9": RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    "Apple": RuntimeError(
        "MPS backend out of memory (MPS allocated: 5.56 GB, other allocations: 1.10 GB, max allowed: 6.80 GB). "
        "Tried to allocate 768.00 MB on private pool."
    ),
    "AMD, PyTorch": torch.OutOfMemoryError("HIP out of memory. Tried to allocate 2.00 GiB."),
    "AMD, runtime": RuntimeError("HIP error: out of memory"),
    "AMD, BLAS": RuntimeError("CUDA error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`"),
    "AMD, cells": RuntimeError("MIOpen error: miopenStatusAllocFailed"),
    "several GPUs": RuntimeError("NCCL error: unhandled cuda error\nLast error:\nCuda failure 2 'out of memory'"),
}
SAY_NOTHING_OF_IT = {
    "cuBLAS": RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`"),
    "cuDNN": RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you passed in a"),
    "cuDNN, of the host": RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED"),
    "runtime": RuntimeError("CUDA error: an illegal memory access was encountered"),
    "CPU": RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to"),
    "loader": RuntimeError("It is possible that dataloader's workers are out of shared memory."),
    "Python": MemoryError(),
    "advice": RunError("cuda:0: out of memory with data.batch_size=16\ndata.batch_size=4 fits"),
    "quoted": ValueError("CUDA out of memory"),
}


@pytest.mark.parametrize("who", SAY_SO)
def test_every_library_is_understood(who: str) -> None:
    assert lacks_device_memory(SAY_SO[who])


@pytest.mark.parametrize("who", SAY_NOTHING_OF_IT)
def test_other_errors_are_not_taken_for_it(who: str) -> None:
    assert not lacks_device_memory(SAY_NOTHING_OF_IT[who])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_that_is_asked_for_too_much_says_so() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50, dtype=torch.uint8, device="cuda")
    assert lacks_device_memory(caught.value)
