"""What a window costs under each strategy on a CPU, in microseconds: the table behind `forward=auto` and the chunks.

Fitted to benchmarks/forward.py on 2 cores with oneDNN, as they are (AVX-512, bfloat16) and restricted to AVX2. Only
ratios matter, and those between strategies move less from machine to machine than times do: one table serves both
kinds. `auto` is checked on shapes that were not used for the fit. What is said of ATen's loop, which runs a GRU and
simple cells, is ratios of CPU time to the LSTM's strategies, on few shapes (docs/decisions/0015-gru-and-rnn.md).
"""

from typing import NamedTuple

import torch

from lstm_lm.forward import trials
from lstm_lm.forward.interface import StackSpec, Workload
from lstm_lm.forward.vendor import VENDORS

CPU = torch.device("cpu")

# The vendor's kernel: oneDNN's LSTM.
VENDOR_RATE = {2: 374e3, 4: 246e3, 8: 123e3}
"""By item size in bytes: operations a microsecond on one core."""
VENDOR_STEP = 2.0
"""A step, besides its products."""
READ = 0.002
"""A step, for each 1,000 bytes of weights that a core reads from its own cache."""
OWN_CACHE = 1e3
"""Thousands of bytes that a core's own (second-level) cache holds."""
READ_BEYOND = 0.004
"""A step, for each 1,000 bytes beyond that cache: two threads, each with half of the weights, may hold all."""
VENDOR_CALL = (24.0, 0.46)
"""A call over a chunk, and for each 1,000 weights of the layer: they are re-packed."""
VENDOR_BACKWARD_CALL = (47.0, 1.39)
"""A call backwards over a chunk, and for each 1,000 weights: their gradient is summed, too."""
VENDOR_WAIT = {2: 0.8, 4: 0.8, 8: 0.8}
"""By item size: what the threads of one kernel wait for each other at every step."""
VENDOR_CELL = {1: 6.0, 3: 16.0, 4: 20.0}
"""By gates: a single step of one layer by the vendor's cell, as in generation."""

# ATen's loop over time in C++: a GRU and simple cells.
ATEN_STEP = {1: 6.0, 3: 16.0}
"""By gates: a step, besides its products."""
ATEN_TRAINING = 4.3
"""A step forwards and backwards by autograd, in steps forwards."""
ATEN_GRADIENT = 0.5
"""A step backwards, for each 1,000 recurrent weights: autograd makes their gradient at each step, and sums it."""
ATEN_HALF = 1.3
"""A step in 16 bits, as a multiple of ATEN_STEP: types change at each step."""
ATEN_CALL = (60.0, 0.5)
"""A call over a chunk, and for each 1,000 weights."""
ATEN_BACKWARD_CALL = (200.0, 1.5)
"""A call backwards over a chunk, and for each 1,000 weights: a graph of autograd's own, whose gradients are summed."""

# The loop in Python.
LOOP_RATE = 144e3
"""Operations a microsecond of plain matrix products, on all cores of two."""
LOOP_RATE_ALONE = 100e3
"""Operations a microsecond of plain matrix products on one core: small ones gain little from a second."""
LOOP_HALF = 2.0
"""Products in 16 bits, as a multiple of that rate."""
LOOP_HALF_IN_SOFTWARE = 1 / 20
"""Products in 16 bits where the processor has no instructions for them, as a multiple (benchmarks/sixteen_bits.py)."""
LOOP_STEP = {1: 10.0, 3: 30.0, 4: 30.0}
"""By gates: a step, a dozen small operations where there are several gates."""
LAYER_STEP = 4.0
"""A step of one more layer in a batch of layers."""
COMPILED = 0.5
"""A compiled step, as a multiple of LOOP_STEP."""
TRAINING = 2.6
"""A step forwards and backwards, in steps forwards."""

GRID = 700.0
"""A pass over the grid of `pipelined`: threads woken, OpenMP's put to sleep."""

# Counted, not timed.
LAUNCHES = {1: (4, 7), 3: (9, 27), 4: (12, 27)}
"""By gates: operations that a step of one layer launches, in inference and in training."""
LAUNCHES_BATCHED = (1, 5)
"""Operations that a diagonal of layers launches more than a step of one layer."""
LAUNCHES_LAYER = {1: (8, 20), 3: (6, 17), 4: (11, 29)}
"""By gates: operations launched in a window to stack the weights of a layer, and to take its state apart again."""


class Layer(NamedTuple):
    """What decides what a layer costs."""

    inputs: int
    width: int
    gates: int
    on_onednn: bool
    """Whether PyTorch gives it to oneDNN; else ATen loops over its steps."""

    @property
    def weights(self) -> int:
        """Numbers in its matrices."""
        return self.gates * self.width * (self.inputs + self.width)


def layers(spec: StackSpec) -> list[Layer]:
    """Each layer of a stack that a vendor's kernel computes, or PyTorch in its place."""
    plain = spec.cell.name in VENDORS and not spec.deviations
    onednn = plain and trials.run_once(spec.cell, CPU, torch.float32).kernel == "oneDNN"
    return [
        Layer(inputs, width, spec.cell.gates, onednn)
        for inputs, width in zip(spec.input_sizes, spec.hidden_sizes, strict=True)
    ]


def operations(layer: Layer, batch_size: int) -> float:
    """Multiplications and additions of one step of one layer: two products into the gates."""
    return 2.0 * batch_size * layer.weights


def vendor_step(layer: Layer, workload: Workload, threads: int = 1) -> float:
    """One layer's step by the vendor's kernel, on one core or shared by several."""
    size = workload.dtype.itemsize
    if not layer.on_onednn:
        return _aten_step(layer, workload, threads)
    products = operations(layer, workload.batch_size) / VENDOR_RATE[size] / threads
    read = layer.weights * size / 1e3 / threads
    forward = VENDOR_STEP + products + READ * read + READ_BEYOND * max(0.0, read - OWN_CACHE)
    waited = VENDOR_WAIT[size] if threads > 1 else 0.0
    return (forward + waited) * (TRAINING if workload.training else 1)


def vendor_call(layer: Layer, workload: Workload) -> float:
    """What a call of the vendor's kernel costs besides its steps."""
    thousands = layer.weights / 1e3
    parts = (VENDOR_CALL, VENDOR_BACKWARD_CALL) if layer.on_onednn else (ATEN_CALL, ATEN_BACKWARD_CALL)
    return sum(constant + slope * thousands for constant, slope in (parts if workload.training else parts[:1]))


def _aten_step(layer: Layer, workload: Workload, threads: int) -> float:
    products = operations(layer, workload.batch_size) / _loop_rate(workload, threads)
    step = ATEN_STEP.get(layer.gates, max(ATEN_STEP.values())) * (ATEN_HALF if workload.dtype.itemsize == 2 else 1)
    if not workload.training:
        return step + products
    summed = ATEN_GRADIENT * layer.gates * layer.width**2 / 1e3
    return ATEN_TRAINING * step + TRAINING * products + summed


def _loop_rate(workload: Workload, threads: int) -> float:
    rate = LOOP_RATE if threads > 1 else LOOP_RATE_ALONE
    if workload.dtype.itemsize > 2:
        return rate
    return rate * (LOOP_HALF if trials.products_in_hardware(CPU, workload.dtype) else LOOP_HALF_IN_SOFTWARE)


def launches(spec: StackSpec, workload: Workload, *, batched: bool) -> float:
    """Operations that a loop in Python launches for a window: on a GPU that, not arithmetic, is what it waits for.

    Counted for the plain cells on a CPU, without torch.compile; no GPU has been timed. `batched` as in `loop`.
    """
    training = int(workload.training)
    gates = min(LAUNCHES, key=lambda known: abs(known - spec.cell.gates))
    step = LAUNCHES[gates][training]
    if not batched:
        return workload.steps * spec.num_layers * step
    diagonals = workload.steps + spec.num_layers - 1
    return diagonals * (step + LAUNCHES_BATCHED[training]) + spec.num_layers * LAUNCHES_LAYER[gates][training]


def loop(spec: StackSpec, workload: Workload, *, batched: bool) -> float:
    """A loop in Python over all steps of all layers; `batched`: over anti-diagonals, each one batch of layers."""
    rate = _loop_rate(workload, threads())
    products = sum(operations(layer, workload.batch_size) / rate for layer in layers(spec))
    step = LOOP_STEP.get(spec.cell.gates, max(LOOP_STEP.values())) * (COMPILED if workload.compiled else 1)
    if batched:
        one = (workload.steps + spec.num_layers - 1) * (1.7 * step + LAYER_STEP * spec.num_layers + products)
    else:
        one = workload.steps * (step * spec.num_layers + products)
    return one * (TRAINING if workload.training else 1)


def threads() -> int:
    """Threads of one operation."""
    return torch.get_num_threads()
