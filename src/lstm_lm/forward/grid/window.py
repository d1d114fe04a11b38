"""One window through the grid: what each cell reads and writes, forwards and backwards.

To autograd the whole grid is one operation, so that both passes are run by the project's own workers. There is no
second derivative.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.profiler import record_function

from lstm_lm.forward.grid.kernels import Ended, Kernel
from lstm_lm.forward.grid.schedule import Chunking
from lstm_lm.forward.interface import LayerWeights, Masks, StackState, steps_of

T = TypeVar("T")
PARAMETERS = len(LayerWeights._fields)


class Executor(Protocol):
    """What runs the cells of a grid in an order that respects what they depend on."""

    def run(self, chunking: Chunking, layers: int, cell: Callable[[int, int], None], *, backward: bool = False) -> None:
        """Run `cell(layer, chunk)` for every cell; on return all have ended, or are in the caller's stream."""


class MakeKernel(Protocol):
    """What makes a layer's kernel."""

    def __call__(self, weights: LayerWeights, *, training: bool) -> Kernel:
        """From the layer's weights, and whether there will be a backward pass."""


@dataclass(frozen=True)
class Setting:
    """How a window is to be run."""

    chunking: Chunking
    executor: Executor
    kernel: MakeKernel
    masks: Masks
    state_tensors: int
    """How many tensors a layer's state has."""
    dtype: torch.dtype
    """Type of the computation."""
    devices: tuple[torch.device, ...]
    """Where each layer is."""
    training: bool


def batched(flat: Sequence[T], size: int) -> Iterator[tuple[T, ...]]:
    """Tuples of `size` in turn."""
    return (tuple(flat[start : start + size]) for start in range(0, len(flat), size))


def run(setting: Setting, x: Tensor, state: StackState, weights: list[LayerWeights]) -> tuple[Tensor, StackState]:
    """`x[T, B, I]` -> `y[T, B, H]` and the state; each result lies where its layer is."""
    flat = [tensor for layer in state for tensor in layer] + [tensor for layer in weights for tensor in layer]
    y, *after = _Window.apply(setting, x, *flat)  # type: ignore[no-untyped-call]
    return y, tuple(batched(after, setting.state_tensors))


class _Window(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, setting: Setting, x: Tensor, *flat: Tensor) -> tuple[Tensor, ...]:
        grid = _Grid(setting, x, flat)
        setting.executor.run(setting.chunking, grid.layers, grid.forward)
        ctx.set_materialize_grads(False)
        ctx.grid = grid
        return grid.results()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        grid: _Grid | None = ctx.grid
        if grid is None:
            raise RuntimeError("forward=pipelined frees a window's graph in its first backward pass; use forward=fused")
        grid.start_backward(gradients)
        grid.setting.executor.run(grid.setting.chunking, grid.layers, grid.backward, backward=True)
        found = grid.gradients()
        ctx.grid = None  # free what the forward pass kept
        return None, *found


class _Grid:
    """The cells' inputs and results. Each cell writes only what is its own, so no lock is needed."""

    def __init__(self, setting: Setting, x: Tensor, flat: tuple[Tensor, ...]) -> None:
        self.setting = setting
        self._traced = torch.autograd.profiler._is_profiler_enabled
        self.layers = layers = len(setting.devices)
        self._given = (x, *flat)
        each = setting.state_tensors
        states, weights = flat[: each * layers], flat[each * layers :]
        self._chunks = x.detach().split_with_sizes(list(setting.chunking.lengths))
        starts = [0]
        for length in setting.chunking.lengths:
            starts.append(starts[-1] + length)
        self._starts = starts
        self._states = list(batched([tensor.detach() for tensor in states], each))
        self._weights = [LayerWeights(*weights[PARAMETERS * n : PARAMETERS * (n + 1)]) for n in range(layers)]
        self._kernels: list[Kernel | None] = [None] * layers
        self._ended: dict[tuple[int, int], Ended] = {}
        # gradients: of a chunk's output (from above), of the state after a chunk (from the next), of the weights
        self._from_above: dict[tuple[int, int], Tensor | None] = {}
        self._from_later: dict[tuple[int, int], tuple[Tensor | None, ...]] = {}
        self._of_weights: list[list[Tensor] | None] = [None] * layers
        self._last = len(setting.chunking.lengths) - 1
        # the cells write their part of what is given back: joining it afterwards would have to wait for the last one
        steps, batch = x.shape[:2]
        width, place = self._weights[-1].weight_hh.shape[1], setting.devices[-1]
        self._y = torch.empty(steps, batch, width, device=place, dtype=setting.dtype)
        self._of_x: Tensor | None = None

    def forward(self, layer: int, chunk: int) -> None:
        """Cell (layer, chunk): from the chunk below and the state before."""
        device, dtype = self.setting.devices[layer], self.setting.dtype
        with self._seen_as("forward", layer, chunk):
            if chunk == 0:
                weights = LayerWeights(*(weight.detach().to(dtype) for weight in self._weights[layer]))
                self._kernels[layer] = self.setting.kernel(weights, training=self.setting.training)
                state = tuple(tensor.to(device, dtype).unsqueeze(0) for tensor in self._states[layer])
            else:
                state = self._ended[layer, chunk - 1].state
            x = self._chunks[chunk] if layer == 0 else self._ended[layer - 1, chunk].y
            x = x.to(device, dtype)
            if layer and (mask := self._mask(layer, chunk)) is not None:
                x = x * mask
            kernel = self._kernels[layer]
            assert kernel is not None
            self._ended[layer, chunk] = ended = kernel.forward(x, state)
            if layer == self.layers - 1:
                self._part(self._y, chunk).copy_(ended.y)

    def results(self) -> tuple[Tensor, ...]:
        """y, then the state of each layer."""
        ends = (self._ended[layer, self._last] for layer in range(self.layers))
        results = self._y, *(tensor[0] for end in ends for tensor in end.state)
        del self._y  # the caller's now: autograd's graph must not hold what holds the graph
        return results

    def start_backward(self, gradients: tuple[Tensor | None, ...]) -> None:
        """`gradients` are those of `results`; None: zero."""
        of_y, of_states, dtype = gradients[0], gradients[1:], self.setting.dtype
        lengths = list(self.setting.chunking.lengths)
        of_chunks = [None] * len(lengths) if of_y is None else of_y.to(dtype).split_with_sizes(lengths)
        for chunk, gradient in enumerate(of_chunks):
            self._from_above[self.layers - 1, chunk] = gradient
        if self._given[0].requires_grad:
            self._of_x = torch.zeros_like(self._given[0])
        for layer, gradients in enumerate(batched(of_states, self.setting.state_tensors)):
            self._from_later[layer, self._last] = tuple(
                None if gradient is None else gradient.to(dtype).unsqueeze(0) for gradient in gradients
            )

    def backward(self, layer: int, chunk: int) -> None:
        """The gradients of cell (layer, chunk), from those of the chunk above and the state after."""
        with self._seen_as("backward", layer, chunk):
            kernel, ended = self._kernels[layer], self._ended.pop((layer, chunk))
            assert kernel is not None
            given = self._from_above.pop((layer, chunk)), *self._from_later.pop((layer, chunk))
            if all(gradient is None for gradient in given):  # nothing that was asked for depends on this cell
                self._from_above[layer - 1, chunk] = None
                self._from_later[layer, chunk - 1] = given[1:]
                return
            of_y, *of_state = (self._brought(gradient, layer) for gradient in given)
            found = kernel.backward(ended, of_y, of_state)
            self._from_later[layer, chunk - 1] = found.state
            of_x = found.x
            if layer:
                if (mask := self._mask(layer, chunk)) is not None:
                    of_x = of_x * mask
                self._from_above[layer - 1, chunk] = of_x
            elif self._of_x is not None:
                self._part(self._of_x, chunk).copy_(of_x)
            self._add_up(layer, found.weights)

    def gradients(self) -> tuple[Tensor | None, ...]:
        """Of x, the states and the weights, each in the type and place of what it is the gradient of."""
        found: list[Tensor | None] = [self._of_x]
        for layer in range(self.layers):
            found += [None if tensor is None else tensor[0] for tensor in self._from_later[layer, -1]]
        for of_weights in self._of_weights:
            found += [None] * PARAMETERS if of_weights is None else of_weights
        return tuple(
            gradient.to(given) if gradient is not None and given.requires_grad else None
            for gradient, given in zip(found, self._given, strict=True)
        )

    def _add_up(self, layer: int, weights: Sequence[Tensor]) -> None:
        """Sum over the chunks, in one order: later chunks first. 16-bit gradients are summed in float32."""
        total = self._of_weights[layer]
        if total is None:
            several = self._last > 0
            self._of_weights[layer] = [w.float() if several and w.element_size() == 2 else w for w in weights]
        else:
            for mine, weight in zip(total, weights, strict=True):
                mine.add_(weight)

    def _brought(self, gradient: Tensor | None, layer: int) -> Tensor | None:
        """A gradient of another cell's, where the layer is."""
        if gradient is None:
            return None
        if gradient.is_cuda:  # it is given up before this stream has read it: CUDA's allocator must know
            gradient.record_stream(torch.cuda.current_stream(gradient.device))
        return gradient.to(self.setting.devices[layer])

    def _seen_as(self, which: str, layer: int, chunk: int) -> AbstractContextManager[object]:
        """A name in a profiler's trace, where one is being made: it costs as much as a small operation."""
        return record_function(f"{which} l={layer} k={chunk}") if self._traced else nullcontext()

    def _part(self, whole: Tensor, chunk: int) -> Tensor:
        """The steps of `chunk`."""
        return whole.narrow(0, self._starts[chunk], self.setting.chunking.lengths[chunk])

    def _mask(self, layer: int, chunk: int) -> Tensor | None:
        between = self.setting.masks.between
        if not between:
            return None
        mask = steps_of(between[layer - 1], self._starts[chunk], self.setting.chunking.lengths[chunk])
        return mask.to(self.setting.devices[layer], self.setting.dtype)
