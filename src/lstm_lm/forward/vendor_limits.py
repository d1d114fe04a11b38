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


def persistent_limit(spec: StackSpec, batch_size: int, dtype: torch.dtype, capability: tuple[int, int]) -> str | None:
    """None where cuDNN runs this stack on a persistent kernel, else what does not hold, for people to read.

    Args:
        spec: a stack that the vendor's kernel computes.
        batch_size: B.
        dtype: in which it is computed: float16 in 16-mixed; in bf16-mixed what was tried (`lstm_lm.forward.trials`).
        capability: the GPU's compute capability, as torch.cuda.get_device_capability gives it. GPUs of fewer than 98
            multiprocessors have no persistent kernel whatever it is.
    """
    if dtype != torch.float64 and max(spec.hidden_sizes) <= SMALL_WIDEST[spec.cell.name]:
        return None
    if capability[0] < AMPERE or capability[1] == 6:
        return f"a GPU of compute capability {capability[0]}.{capability[1]}"
    lacking = []
    if spec.cell.name == "gru":
        return f"a GRU wider than {SMALL_WIDEST['gru']}"
    if dtype != torch.float16:
        lacking.append(f"{str(dtype).removeprefix('torch.')} products (float16 only)")
    if in_one_call(spec) and spec.num_layers > 1:
        lacking.append(f"num_layers={spec.num_layers} in one call (1 only)")
    widths = sorted(set(spec.hidden_sizes))
    lacking += [
        f"hidden_size={width} (a multiple of {PERSISTENT_MULTIPLE}, at most {PERSISTENT_WIDEST})"
        for width in widths
        if width % PERSISTENT_MULTIPLE or width > PERSISTENT_WIDEST
    ]
    if spec.input_size % PERSISTENT_MULTIPLE:
        lacking.append(f"embedding_size={spec.input_size} (a multiple of {PERSISTENT_MULTIPLE})")
    if batch_size % BATCH_MULTIPLE or batch_size > BATCH_LARGEST:
        lacking.append(f"batch_size={batch_size} (a multiple of {BATCH_MULTIPLE}, at most {BATCH_LARGEST})")
    elif _too_large_for_rnn(spec, batch_size):
        lacking.append(f"batch_size={batch_size} (less than {RNN_BATCH} from hidden_size={RNN_WIDE} on)")
    return ", ".join(lacking) or None


def persistent_by_layer(spec: StackSpec, batch_size: int, dtype: torch.dtype, device: torch.device) -> bool:
    """Whether cuDNN runs each layer of this stack on a persistent kernel, but not all of them in one call."""
    if device.type != "cuda" or torch.version.cuda is None:
        return False
    capability = torch.cuda.get_device_capability(device)
    by_layer = replace(spec, layer_dropout=True)
    return (
        persistent_limit(spec, batch_size, dtype, capability) is not None
        and persistent_limit(by_layer, batch_size, dtype, capability) is None
    )


def _too_large_for_rnn(spec: StackSpec, batch_size: int) -> bool:
    return spec.cell.gates == 1 and batch_size >= RNN_BATCH and max(spec.hidden_sizes) >= RNN_WIDE
