"""What a recurrent cell is to the rest of the project.

A cell is pointwise mathematics: the products with the weights, which are nearly all of the work, belong to the
strategy that runs it, so that each strategy can batch them in its own way.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

LayerState = tuple[Tensor, ...]
"""The state of one layer, the hidden state first: `(h, c)` for an LSTM; each `[B, H]`."""


class StepMasks(NamedTuple):
    """What regularises the inside of a step. None: nothing does.

    For one step each broadcasts against `[..., B, H]`; for a whole window there is a time dimension before: `[T, B, H]`
    or, one mask for all steps, `[1, B, H]`.
    """

    candidate: Tensor | None = None
    """Recurrent dropout: a factor on what the step would write into the state, 0 or 1 / (1 - p)."""
    hidden: Tensor | None = None
    """Zoneout: the share of the old hidden state that stays, 0 or 1; without training its expectation, p."""
    cell: Tensor | None = None
    """Zoneout: the share of the old cell state that stays, as `hidden` has it."""


Step = Callable[[Tensor, Tensor | None, LayerState, tuple[Tensor, ...], StepMasks], LayerState]
"""`step(from_input[..., B, G * H], from_hidden[..., B, G * H], state, extras, masks) -> new state`.

`from_input` is the input's share of the gates, `x @ weight_ih.T + bias_ih`, and `from_hidden` the hidden state's,
`h @ weight_hh.T + bias_hh`; an additive cell may be given their sum as the first, and None as the second. `extras` are
the cell's further parameters, each `[..., 1, n]`. Leading dimensions broadcast: a batch of layers is one call.
"""


class Extra(NamedTuple):
    """A parameter of a layer that the step reads itself: a vector of `multiple` * H numbers.

    One called `bias_ih` or `bias_hh` is torch.nn.LSTM's: the products then come without it.
    """

    name: str
    multiple: int
    initial: float


@dataclass(frozen=True)
class Cell:
    """A recurrent cell: its sizes, and the pure function that computes one step."""

    name: str
    """Without deviations: what torch calls it, as `torch.lstm` runs its layers (`lstm_lm.forward.vendor`)."""
    gates: int
    """G: a layer's weights have G * H rows."""
    state_tensors: int
    """How many tensors make up a layer's state; the hidden state is the first."""
    step: Step
    extras: tuple[Extra, ...] = ()
    additive: bool = False
    """Whether the step needs only the sum of `from_input` and `from_hidden`: then one product can make both."""
    masks: tuple[str, ...] = StepMasks._fields
    """Which of `StepMasks` the step applies."""
    deviations: tuple[str, ...] = ()
    """What makes it another cell than cuDNN's and oneDNN's, as the user set it ("layer_norm=true"); empty: nothing."""
    plain: "Cell | None" = None
    """The vendors' cell that it deviates from."""
    kept: int = 8
    """About how many numbers a step keeps for its backward pass, for each of the layer's H."""
