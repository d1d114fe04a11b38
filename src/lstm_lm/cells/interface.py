"""What a recurrent cell is to the rest of the project."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

LayerState = tuple[Tensor, ...]
"""The state of one layer, the hidden state first: `(h, c)` for an LSTM; each `[B, H]`."""

Step = Callable[[Tensor, LayerState, Tensor, Tensor | None], LayerState]
"""`step(projected[..., B, G * H], state, weight_hh[..., G * H, H], bias_hh[..., G * H] | None) -> new state`.

`projected` is the input's share of the gates, `x @ weight_ih.T + bias_ih`: it does not depend on the state, so a
strategy may compute it for all T at once. Leading dimensions broadcast: a batch of layers is one call.
"""


@dataclass(frozen=True)
class Cell:
    """A recurrent cell: its sizes, and the pure function that computes one step."""

    name: str
    gates: int
    """G: a layer's weights have G * H rows."""
    state_tensors: int
    """How many tensors make up a layer's state; the hidden state is the first."""
    step: Step
    vendor: bool
    """Whether cuDNN and oneDNN compute exactly this cell."""
