"""What a window costs under each strategy on a CPU, in microseconds: the table behind `forward=auto` and the chunks.

Fitted to benchmarks/forward.py on 2 cores with AVX-512 and oneDNN. Only ratios matter, and those between strategies
move less from machine to machine than times do. `auto` is checked on shapes that were not used for the fit.
"""

import torch

from lstm_lm.forward.interface import StackSpec, Workload

VENDOR_RATE = 210e3
"""float32 operations a microsecond that the vendor's kernel does on one core; twice as many in 16 bits."""
VENDOR_STEP = 1.5
"""Of a step, besides its products."""
VENDOR_CALL = 75.0
"""Of a call over a chunk: weights are re-packed, buffers made."""
VENDOR_BACKWARD_CALL = 130.0
VENDOR_WAIT = {2: 8.0, 4: 2.0, 8: 2.0}
"""By item size: what the threads of one kernel wait for each other at every step. 16-bit kernels wait far longer."""
VENDOR_CELL = 20.0
"""Of a single step of one layer by the vendor's cell, as in generation."""
LOOP_RATE = 144e3
"""Operations a microsecond of plain matrix products, on all cores of two."""
LOOP_STEP = 30.0
"""Of a step in Python: a dozen small operations."""
LAYER_STEP = 4.0
"""Of one more layer in a batch of layers."""
COMPILED = 0.5
"""A compiled step's share of LOOP_STEP."""
TRAINING = 3.0
"""A step forwards and backwards, in steps forwards."""
GRID = 350.0
"""Of a pass over the grid: threads woken, OpenMP's put to sleep."""


def operations(inputs: int, width: int, batch_size: int) -> float:
    """Of one step of one layer: two products into 4 H gates."""
    return 8.0 * batch_size * width * (inputs + width)


def vendor_step(inputs: int, width: int, workload: Workload) -> float:
    """One layer's step by the vendor's kernel on one core."""
    rate = VENDOR_RATE * (2 if workload.dtype.itemsize == 2 else 1) / (2 if workload.dtype.itemsize == 8 else 1)
    forward = VENDOR_STEP + operations(inputs, width, workload.batch_size) / rate
    return forward * (TRAINING if workload.training else 1)


def vendor_call(workload: Workload) -> float:
    """What a call of the vendor's kernel costs besides its steps."""
    return VENDOR_CALL + (VENDOR_BACKWARD_CALL if workload.training else 0.0)


def loop(spec: StackSpec, workload: Workload, *, batched: bool) -> float:
    """A loop in Python over all steps of all layers; `batched`: over anti-diagonals, each one batch of layers."""
    rate = LOOP_RATE * (2 if workload.dtype.itemsize == 2 else 1)
    products = sum(
        operations(inputs, width, workload.batch_size) / rate
        for inputs, width in zip(spec.input_sizes, spec.hidden_sizes, strict=True)
    )
    step = LOOP_STEP * (COMPILED if workload.compiled else 1)
    if batched:
        one = (workload.steps + spec.num_layers - 1) * (1.7 * step + LAYER_STEP * spec.num_layers + products)
    else:
        one = workload.steps * (step * spec.num_layers + products)
    return one * (TRAINING if workload.training else 1)


def threads() -> int:
    """Threads of one operation."""
    return torch.get_num_threads()
