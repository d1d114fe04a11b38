"""What keeps cuDNN off its fastest layers, the persistent kernels, which hold the recurrent weights on the chip.

PyTorch chooses cuDNN's algorithm by shape, type and GPU, and does not report it (`get_algo` in
aten/src/ATen/native/cudnn/RNN.cpp, whose conditions these are, as of PyTorch 2.13): PERSIST_STATIC for float16, one
layer a call, H and input multiples of 128, H <= 1024, and on Ampere and later a batch that is a multiple of 8 and at
most 128; a simple cell of H >= 896 with a batch below 96 only, a GRU never. For small H (LSTM and GRU up to 128, simple
cells up to 256) another persistent kernel takes any shape.
"""

from dataclasses import replace

import torch

from lstm_lm.forward.interface import StackSpec

PERSISTENT_MULTIPLE = 128
PERSISTENT_WIDEST = 1024
SMALL_WIDEST = {"rnn_relu": 256, "rnn_tanh": 256, "lstm": 128, "gru": 128}
"""By cell: the largest H of the kernel for small ones, backwards; forwards it takes half as much again."""
RNN_WIDE = 896
RNN_BATCH = 96
"""A simple cell at least so wide has no persistent kernel for batches of this size on."""
BATCH_MULTIPLE = 8
BATCH_LARGEST = 128
AMPERE = 8


def in_one_call(spec: StackSpec) -> bool:
    """Whether one call of the vendor's kernel can run the whole stack: nothing ever stands between the layers."""
    return spec.uniform and not spec.layer_dropout


def is_persistent(spec: StackSpec, batch_size: int, dtype: torch.dtype, capability: tuple[int, int]) -> bool:
    """Whether cuDNN runs this stack on a persistent kernel.

    Args:
        spec: a stack that the vendor's kernel computes.
        batch_size: B.
        dtype: in which it is computed: float16 in 16-mixed; in bf16-mixed what was tried (`lstm_lm.forward.trials`).
        capability: the GPU's compute capability, as torch.cuda.get_device_capability gives it. GPUs of fewer than 98
            multiprocessors have no persistent kernel whatever it is.
    """
    widest = max(spec.hidden_sizes)
    if dtype != torch.float64 and widest <= SMALL_WIDEST[spec.cell.name]:
        return True
    sizes = (spec.input_size, *spec.hidden_sizes)
    return (
        (capability[0] >= AMPERE and capability[1] != 6)
        and spec.cell.name != "gru"
        and dtype == torch.float16
        and not (in_one_call(spec) and spec.num_layers > 1)
        and not any(size % PERSISTENT_MULTIPLE for size in sizes)
        and widest <= PERSISTENT_WIDEST
        and (batch_size % BATCH_MULTIPLE == 0 and batch_size <= BATCH_LARGEST)
        and not (spec.cell.gates == 1 and batch_size >= RNN_BATCH and widest >= RNN_WIDE)
    )


def persistent_by_layer(spec: StackSpec, batch_size: int, dtype: torch.dtype, device: torch.device) -> bool:
    """Whether cuDNN runs each layer of this stack on a persistent kernel, but not all of them in one call."""
    if device.type != "cuda" or torch.version.cuda is None:
        return False
    capability = torch.cuda.get_device_capability(device)
    by_layer = replace(spec, layer_dropout=True)
    whole, layers = (is_persistent(each, batch_size, dtype, capability) for each in (spec, by_layer))
    return layers and not whole
