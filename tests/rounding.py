"""How far a stack's results may be from the exact ones by rounding alone, on any machine; a wrong program is further.

The bound follows from the type's unit roundoff u, the sizes and the number of steps. No number in it is fitted to
what a machine was seen to do. All errors are relative, to first order in u.

One rounding
    Its relative error is at most u. Within a binade the error is uniform, up to u * 2^e, and numbers x lie
    log-uniformly between 2^e and 2^(e + 1); so its root mean square is u / sqrt(3) * sqrt(3 / (8 ln 2)) = 0.425 u.
    Roundings are taken as independent and unbiased: N of them come to 0.425 u sqrt(N), where the worst case is N u
    (Higham and Mary, "A New Approach to Probabilistic Rounding Error Analysis", 2019). Three standard deviations are
    allowed. An exp or tanh that is right to one unit in the last place, as on vector units and in vendors' kernels,
    errs by up to twice a rounding, so it counts as four.

An inner product
    Of n terms without a common sign, the k-th partial sum has sqrt(k / n) of the size of the whole, so that rounding
    all of them comes to n / 2 roundings in the accumulator. Sums in blocks have fewer. 16-bit types accumulate in
    float32, where n counts for almost nothing: it is operands, products and states that are rounded to 16 bits.

A step of a cell
    Forward (`FORWARD`): both operands of a product (2); the products with input and hidden state, their biases, their
    sum (5); a gate (4); what is kept, what is written, the new memory (3); its activation (4); times the output gate,
    stored (2). Kernels that keep some of these in float32, and cells with fewer of them, round less. Backward
    (`BACKWARD`): the gradients from above and from later are added (1), go through the derivatives of an activation
    and a gate (6), and into a product, whose operands and result are rounded (3).

How errors are carried
    A cell's value comes of what it reads and of what it remembers in about equal parts: this project initialises
    weights so that neither product changes lengths (Xavier, orthogonal). And gates and slopes are at most 1. So with
    N roundings a step the squared relative error e of layer l at step t is

        e(t, l)^2 <= e(t, l - 1)^2 / 2 + e(t - 1, l)^2 / 2 + N u^2

    or N times the cells that a walk visits which goes down a layer or back a step with equal chances, until it leaves
    the window. That is never more than T + L - 1, and in expectation never more than 2 L, however long the window is.

Gradients
    They go as far a way back, are made at values that are off already (the forward's error), are multiplied by such
    values where they are a weight's (the forward's error again), and add up T steps one by one, in the type itself (T
    / 2 roundings), each step a sum over the batch, in the accumulator.

Normalised cells
    Three normalisations (of both products and of the memory) have mean, difference, square, root, quotient, gain and
    bias: ten roundings each (`NORMALISING`), forward and backward. And what is divided by the deviation of H numbers
    is divided by less than their size, as their mean is taken out: for normal numbers the expected square of size /
    deviation is H / (H - 3) (inverse chi-square), which matters for a few numbers only.

Kinks
    Where an activation's slope jumps (relu, hard sigmoid), a rounding can change the side. Pre-activations are about
    normal, so an error of root mean square e moves a share e / pi of them across zero (its mean size, e sqrt(2 / pi),
    times the density there, 1 / sqrt(2 pi)). In wide types that is none out of a test's hundreds; in 16 bits it is
    some: where m are expected, m + 3 sqrt(m) are allowed. Such a unit changes whatever gradient passes it altogether,
    and a gradient passes as many units as its way is long: the squared relative error is their share times the way.
    Values are continuous at a kink, and held to the same bound as any. Where a cell is normalised too, the parts of a
    gradient are as unequal as the deviations that it is divided by, and one can be nearly all: in 16 bits gradients are
    only held to their own size then, as below.

Training
    A loss is a value like any other, made with weights that are the sum of all updates before, each as wrong as its
    gradient. So of what the updates changed about the loss, rounding can have changed as large a share (`of_losses`).
    That is to first order: it holds while training is not so unsteady that differences grow by themselves.

Relative to what
    A gradient is a sum that may cancel (that of one input number, over all gates); the roundings of its terms don't.
    So an error is taken per element, root mean square over the tensor, relative to the tensor's own elements or,
    where they are smaller, to those of all tensors of its kind (`Results`).

    In 16 bits that alone would let a tensor that is small beside its kind be anything, even nothing. So there each is
    held to its own size as well. This is not derived from the roundings, but coarse, and stated as such: an error is
    less than half of what it is an error of (`OWN_SHARE`), and where units may have changed the side of a kink, a
    gradient's is less than nine tenths (`OWN_SHARE_OF_TURNED`); that of a tensor of zeros is the whole, that of an
    unrelated one more. A sum that cancels is excepted where it is the only one: a tensor of one number. Several would
    all have to cancel at once.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lstm_lm.forward.interface import StackSpec

UNIT_ROUNDOFF = {torch.float64: 2.0**-53, torch.float32: 2.0**-24, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}
ROUNDING = math.sqrt(1 / (8 * math.log(2)))
"""The root mean square of a rounding's relative error, in u."""
DEVIATIONS = 3
FORWARD = 2 + 5 + 4 + 3 + 4 + 2
BACKWARD = 1 + 6 + 3
NORMALISING = 3 * 10
OWN_SHARE, OWN_SHARE_OF_TURNED = 0.5, 0.9
"""How much of its own size a tensor's error may be in 16 bits, and a gradient's where units changed sides.

Measured in bfloat16 with and without AVX-512, for tensors of several numbers, the largest of any cell without kinks is
0.032, with kinks 0.18, and 0.71 with kinks and normalised.
"""
NONE_EXPECTED = 0.01
"""With fewer units than this expected on the other side of a kink, there are none."""


class Bound(NamedTuple):
    """What rounding can make of a relative error."""

    values: float
    gradients: float
    own_values: float = math.inf
    """Of each tensor's own size, whatever the others'."""
    own_gradients: float = math.inf


class Results(NamedTuple):
    """What a stack or a model gives, by kind. An empty kind is not compared."""

    values: tuple[Tensor, ...]
    """Outputs, final states, losses."""
    signals: tuple[Tensor, ...] = ()
    """Gradients of the input and of the initial state."""
    weights: tuple[Tensor, ...] = ()
    """Gradients of the parameters."""


def bound(
    spec: StackSpec,
    window: Tensor,
    dtype: torch.dtype | None = None,
    *,
    reference: torch.dtype = torch.float64,
    beside: int = 0,
) -> Bound:
    """The bound for a `window` `[T, B, ...]` with products in `dtype` (None: its own), against those in `reference`.

    `beside` is what else lies on the way from input to result, in cells: a head is one, another stack 2 L of its own.
    """
    steps, batch = window.shape[:2]
    own, other = (_of_one(spec, steps, batch, kind, beside) for kind in (dtype or window.dtype, reference))
    return Bound(
        math.hypot(own.values, other.values),
        math.hypot(own.gradients, other.gradients),
        min(own.own_values, other.own_values),
        min(own.own_gradients, other.own_gradients),
    )


def _of_one(spec: StackSpec, steps: int, batch: int, dtype: torch.dtype, beside: int) -> Bound:
    """Against exact results."""
    unit = UNIT_ROUNDOFF[dtype]
    accumulating = (min(unit, UNIT_ROUNDOFF[torch.float32]) / unit) ** 2
    path = min(steps + spec.num_layers - 1, 2 * spec.num_layers) + beside
    read = max(inputs + width for inputs, width in zip(spec.input_sizes, spec.hidden_sizes, strict=True))
    read_back = 2 * spec.cell.gates * max(spec.hidden_sizes)
    normalising, lost = 0, 1.0
    if any(extra.name.startswith("gain") for extra in spec.cell.extras):
        assert min(spec.hidden_sizes) > 3, "the deviation of so few numbers can be anything"
        normalising, lost = NORMALISING, max(width / (width - 3) for width in spec.hidden_sizes)

    forward = lost * path * (FORWARD + normalising + read / 2 * accumulating)
    backward = lost * path * (BACKWARD + normalising + read_back / 2 * accumulating)
    summed = steps / 2 + steps * batch / 2 * accumulating
    values, gradients = (ROUNDING * unit * math.sqrt(n) for n in (forward, 2 * forward + backward + summed))
    allowed = Bound(DEVIATIONS * values, DEVIATIONS * gradients)
    if unit > UNIT_ROUNDOFF[torch.float32]:
        allowed = allowed._replace(own_values=OWN_SHARE, own_gradients=OWN_SHARE)
    units = steps * batch * sum(spec.hidden_sizes)
    moved = units * values / math.pi if has_kinks(spec) else 0.0
    if moved < NONE_EXPECTED:
        return allowed
    if unit > UNIT_ROUNDOFF[torch.float32]:
        allowed = allowed._replace(own_gradients=OWN_SHARE_OF_TURNED)
    if normalising:
        return allowed._replace(gradients=math.inf)
    share = (moved + DEVIATIONS * math.sqrt(moved)) / units
    return allowed._replace(gradients=math.hypot(allowed.gradients, math.sqrt(path * share)))


def has_kinks(spec: StackSpec) -> bool:
    """Whether the slope of one of its cell's activations jumps."""
    return any(kind in said for said in (spec.cell.name, *spec.cell.deviations) for kind in ("relu", "hard_sigmoid"))


def of_losses(allowed: Bound, losses: Sequence[float]) -> float:
    """How far each of a training run's losses may be off, in nats; the bound is a window's."""
    return allowed.values * max(losses) + allowed.gradients * (max(losses) - min(losses))


def excess(found: Results, expected: Results, allowed: Bound) -> float:
    """The largest error of any tensor, in units of what is allowed."""
    worst = 0.0
    limits = (allowed.values, allowed.gradients, allowed.gradients)
    shares = (allowed.own_values, allowed.own_gradients, allowed.own_gradients)
    for got, exact, limit, share in zip(found, expected, limits, shares, strict=True):
        assert [tensor.shape for tensor in got] == [tensor.shape for tensor in exact]
        of_kind = _size(*exact)
        for one, other in zip(got, exact, strict=True):
            error, size = _size(_wide(one) - _wide(other)), _size(other)
            largest = limit * max(size, of_kind)
            if size and other.numel() > 1:
                largest = min(largest, share * size)
            if not math.isfinite(error) or error > largest == 0:
                return math.inf
            worst = max(worst, error / largest if error else 0.0)
    return worst


def assert_close(found: Results, expected: Results, allowed: Bound) -> None:
    """Every tensor within what rounding allows."""
    times = excess(found, expected, allowed)
    assert times <= 1, f"{times:.3g} times what rounding can do, {allowed}"


def _wide(tensor: Tensor) -> Tensor:
    return tensor.detach().double().cpu()


def _size(*tensors: Tensor) -> float:
    """Root mean square of all elements."""
    count = sum(tensor.numel() for tensor in tensors)
    return math.sqrt(sum(_wide(tensor).square().sum().item() for tensor in tensors) / count) if count else 0.0
