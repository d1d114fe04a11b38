"""What it costs, on this machine, that a setting keeps a model off the vendor's kernel, or off its fastest one.

Measured, since it depends on everything: a window of this stack, forwards and backwards, against one of the plain
cell of the same shape on the vendor's kernel. Nothing random is drawn, so a run is the same with and without it.
"""

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from lstm_lm.cells.interface import StepMasks
from lstm_lm.forward import trials
from lstm_lm.forward.choose import SelectedStrategy
from lstm_lm.forward.interface import Masks, StackSpec, Strategy
from lstm_lm.forward.strategies.fused import Fused
from lstm_lm.forward.vendor_limits import persistent_limit, persistent_neighbour
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel
from lstm_lm.models.recurrent_stack import RecurrentStack
from lstm_lm.training.build import Parts

SECONDS = 2.0
"""For a comparison, about: a probe and one window of each contender are always measured."""
MOST_ROUNDS = 5
PROBE_STEPS = 2
MOST_STEPS = 64
WORTH_TELLING = 1.05
MASKED_BY = {"recurrent_dropout": "candidate", "zoneout_hidden": "hidden", "zoneout_cell": "cell"}


@dataclasses.dataclass(frozen=True)
class Place:
    """Where and on what a stack runs."""

    device: torch.device
    parameter_dtype: torch.dtype
    dtype: torch.dtype
    """Of the products: where it is another than the parameters', under autocast."""
    batch_size: int
    seq_len: int


def warnings_before(parts: Parts) -> list[str]:
    """What a user should know about settings that cost time, before the first step."""
    if not isinstance(parts.model, RecurrentLanguageModel) or not isinstance(parts.choice, SelectedStrategy):
        return []
    machine, options = parts.hardware, parts.data.options
    place = Place(machine.device, machine.parameter_dtype, machine.dtype, options.batch_size, options.seq_len)
    return vendor_warnings(parts.choice.strategy, parts.model.stack.spec, place)


def vendor_warnings(strategy: Strategy, spec: StackSpec, place: Place) -> list[str]:
    """One line where a setting keeps a stack that `strategy` runs off the vendor's kernel, or off its fastest one."""
    if spec.deviations:
        return _off_the_kernel(strategy, spec, place)
    if place.device.type == "cuda" and torch.version.cuda is not None and isinstance(strategy, Fused):
        return _off_the_persistent_one(strategy, spec, place)
    return []


def _off_the_kernel(strategy: Strategy, spec: StackSpec, place: Place) -> list[str]:
    cell = spec.cell.plain or spec.cell
    plain = dataclasses.replace(spec, cell=cell, regularised=())
    fresh = type(strategy)()
    try:
        ratio = compare(Window(fresh, spec, place), Window(Fused(), plain, place))
    finally:
        fresh.close()
    return [
        f"not on the vendor's kernel: {', '.join(spec.deviations)}; here the layers take {ratio:.1f} times as long "
        f"({strategy.name} against a plain {cell.name.partition('_')[0].upper()} on fused, both without torch.compile)"
    ]


def _off_the_persistent_one(fused: Fused, spec: StackSpec, place: Place) -> list[str]:
    kind = trials.computed_in(spec.cell, [place.device], place.dtype)
    once = fused.calls_once(spec, place.device, kind, place.batch_size)
    called = spec if once else dataclasses.replace(spec, layer_dropout=True)
    limit = persistent_limit(called, place.batch_size, kind, torch.cuda.get_device_capability(place.device))
    neighbour = persistent_neighbour(spec, place.batch_size)
    if limit is None or neighbour is None:
        return []
    larger, batch = neighbour
    there = dataclasses.replace(place, parameter_dtype=torch.float32, dtype=torch.float16, batch_size=batch)
    ratio = compare(Window(Fused(), spec, place), Window(Fused(), larger, there))
    if ratio < WORTH_TELLING:
        return []
    return [
        f"not on cuDNN's persistent kernel: {limit}; the next larger stack that is, layer by layer, takes "
        f"{1 / ratio:.2f} times as long (hidden_size={list(larger.hidden_sizes)}, batch_size={batch}, float16)"
    ]


def compare(one: "Window", other: "Window") -> float:
    """How many times as long `one` takes as `other`: medians of windows of the same number of steps, taken in turn.

    Windows are shorter than `Place.seq_len` where a whole one would take long. Torch's generators stay as they are.
    """
    begin = time.perf_counter()
    for _ in range(2):  # the first time, libraries set themselves up
        probe = one.seconds(PROBE_STEPS) + other.seconds(PROBE_STEPS)
        if time.perf_counter() - begin > SECONDS / 4:
            break
    steps = int(SECONDS / 2 / MOST_ROUNDS / (probe / PROBE_STEPS))
    steps = max(PROBE_STEPS, min(one.place.seq_len, MOST_STEPS, steps))
    rounds: list[tuple[float, float]] = []
    while len(rounds) < MOST_ROUNDS and (not rounds or time.perf_counter() - begin < SECONDS):
        rounds.append((one.seconds(steps), other.seconds(steps)))
    return statistics.median(first for first, _ in rounds) / statistics.median(second for _, second in rounds)


class Window:
    """A stack with a strategy that runs it, to be timed over windows of any length."""

    def __init__(self, strategy: Strategy, spec: StackSpec, place: Place) -> None:
        self.place = place
        self._spec = spec
        self._stack = RecurrentStack(spec.cell, spec.input_size, spec.hidden_sizes, initialise=False)
        self._stack.spec, self._stack.strategy = spec, strategy
        with torch.no_grad():
            for parameter in self._stack.parameters():
                values = torch.linspace(-1.0, 1.0, parameter.numel()).view_as(parameter)
                parameter.copy_(values * parameter.shape[-1] ** -0.5)
        self._stack.to(place.device, place.parameter_dtype)

    def seconds(self, steps: int) -> float:
        """Of one window, forwards and backwards."""
        place, stack = self.place, self._stack
        like = next(stack.parameters())
        x = torch.linspace(-1.0, 1.0, steps * place.batch_size * self._spec.input_size).to(like)
        x = x.view(steps, place.batch_size, self._spec.input_size)
        masks, state = _masks(self._spec, steps, place.batch_size, like), stack.initial_state(place.batch_size)
        _wait(place.device)
        start = time.perf_counter()
        with _autocast(place):
            y, _ = stack(x, state, masks)
        y.backward(torch.ones_like(y))
        stack.zero_grad()
        _wait(place.device)
        return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _masks(spec: StackSpec, steps: int, batch: int, like: Tensor) -> Masks:
    """Masks of the kinds that the stack is trained with; their values take no time."""

    def ones(width: int) -> Tensor:
        return like.new_ones((steps, batch, width))

    inside = {MASKED_BY[setting.partition("=")[0]] for setting in spec.regularised}
    return Masks(
        tuple(map(ones, spec.hidden_sizes[:-1])) if spec.layer_dropout else (),
        tuple(StepMasks(**{name: ones(width) for name in inside}) for width in spec.hidden_sizes) if inside else (),
    )


@contextlib.contextmanager
def _autocast(place: Place) -> Iterator[None]:
    if place.dtype == place.parameter_dtype:
        yield
        return
    with torch.autocast(place.device.type, place.dtype):
        yield
