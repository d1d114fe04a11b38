"""The simple recurrent cell, with torch.nn.RNN's parameters.

Source: Elman, "Finding Structure in Time", 1990; in the notation of torch.nn.RNN's documentation:

    h' = tanh(W_ih x + b_ih + W_hh h + b_hh)

or with relu in place of tanh (with recurrent weights that keep lengths, as the identity in Le, Jaitly and Hinton, "A
Simple Way to Initialize Recurrent Networks of Rectified Linear Units", 2015).

A step writes all of its state, so there is no candidate beside what is remembered: recurrent dropout would drop the
memory itself. Zoneout is as for every state.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from lstm_lm.cells.activations import ACTIVATIONS, Activation
from lstm_lm.cells.interface import Cell, LayerState, Step, StepMasks
from lstm_lm.cells.zoneout import zone_out


def rnn_cell(activation: str = "tanh") -> Cell:
    """The simple cell with this activation, `tanh` or `relu`; always the same object."""
    return _CELLS[activation]


def _step(activation: Activation) -> Step:
    def step(
        from_input: Tensor,
        from_hidden: Tensor | None,
        state: LayerState,
        extras: tuple[Tensor, ...],
        masks: StepMasks,
    ) -> LayerState:
        """One step; shapes as in `lstm_lm.cells.interface.Step`, with G = 1 and the state `(h,)`.

        With 16-bit products the state is float32 all the same, or errors would add up over time.
        """
        assert not extras
        kind = torch.promote_types(from_input.dtype, torch.float32)
        total = (from_input if from_hidden is None else from_input + from_hidden).to(kind)
        return (zone_out(state[0], activation(total), masks.hidden),)

    return step


_CELLS: Mapping[str, Cell] = {
    name: Cell(
        name=f"rnn_{name}",
        gates=1,
        state_tensors=1,
        step=_step(ACTIVATIONS[name]),
        additive=True,
        masks=("hidden",),
        kept=2,
    )
    for name in ("tanh", "relu")
}
RNN = rnn_cell()
