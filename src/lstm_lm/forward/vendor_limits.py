"""What keeps cuDNN off its fastest LSTM, the persistent kernel, which holds the recurrent weights on the chip.

PyTorch chooses cuDNN's algorithm by shape, type and GPU, and tells nobody (`get_algo` in
aten/src/ATen/native/cudnn/RNN.cpp, whose conditions these are, as of PyTorch 2.13): PERSIST_STATIC for float16, one
layer a call, H and input multiples of 128, H <= 1024, and on Ampere and later a batch that is a multiple of 8 and at
most 128. Below H = 128 another persistent kernel takes any shape.
"""

import torch

from lstm_lm.forward.interface import StackSpec

PERSISTENT_MULTIPLE = 128
PERSISTENT_WIDEST = 1024
SMALL_WIDEST = 128
"""The kernel for small H: up to 192 forward, and this backward."""
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
        dtype: of the products: float16 in 16-mixed. What bf16-mixed computes is float32 (`lstm_lm.forward.fused`).
        capability: the GPU's compute capability, as torch.cuda.get_device_capability gives it. GPUs of fewer than 98
            multiprocessors have no persistent kernel whatever it is.
    """
    if dtype != torch.float64 and max(spec.hidden_sizes) <= SMALL_WIDEST:
        return None
    if capability[0] < AMPERE or capability[1] == 6:
        return f"a GPU of compute capability {capability[0]}.{capability[1]}"
    lacking = []
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
    return ", ".join(lacking) or None


def persistent_neighbour(spec: StackSpec, batch_size: int) -> tuple[StackSpec, int] | None:
    """The next larger stack and batch that the persistent kernel takes, layer by layer; None where there is none."""

    def up(number: int, multiple: int) -> int:
        return -(-number // multiple) * multiple

    sizes = tuple(up(width, PERSISTENT_MULTIPLE) for width in spec.hidden_sizes)
    batch = up(batch_size, BATCH_MULTIPLE)
    if max(sizes) > PERSISTENT_WIDEST or batch > BATCH_LARGEST:
        return None
    return StackSpec(spec.cell, up(spec.input_size, PERSISTENT_MULTIPLE), sizes, layer_dropout=True), batch
