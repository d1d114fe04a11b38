"""The long short-term memory cell, with torch.nn.LSTM's gate order and parameters, and its variants.

Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997, with the forget gate of Gers, Schmidhuber and
Cummins, "Learning to Forget", 2000; in the notation of torch.nn.LSTM's documentation:

    i = sigmoid(W_ii x + b_ii + W_hi h + b_hi)      input gate
    f = sigmoid(W_if x + b_if + W_hf h + b_hf)      forget gate
    g = tanh   (W_ig x + b_ig + W_hg h + b_hg)      candidate
    o = sigmoid(W_io x + b_io + W_ho h + b_ho)      output gate
    c' = f * c + i * g
    h' = o * tanh(c')

Variants put another activation in place of both tanh, or of the three sigmoid. With layer normalisation (Ba, Kiros and
Hinton, "Layer Normalization", 2016, supplementary equations 20 to 22) the sums become, all four gates together,

    LN(W_i x; gain_ih, b_i) + LN(W_h h; gain_hh, b_h)

and the last line h' = o * tanh(LN(c'; gain_c, bias_c)). The paper's three biases of each gate add up to two.
"""

from functools import cache

import torch
from torch import Tensor

from lstm_lm.cells.activations import ACTIVATIONS, GATE_ACTIVATIONS, Activation
from lstm_lm.cells.interface import Cell, Extra, LayerState, Step, StepMasks
from lstm_lm.cells.layer_norm import layer_norm
from lstm_lm.cells.recurrent_dropout import drop
from lstm_lm.cells.zoneout import zone_out

NORM_EXTRAS = (
    Extra("bias_ih", 4, 0.0),
    Extra("bias_hh", 4, 0.0),
    Extra("gain_ih", 4, 1.0),
    Extra("gain_hh", 4, 1.0),
    Extra("gain_c", 1, 1.0),
    Extra("bias_c", 1, 0.0),
)


def lstm_cell(activation: str = "tanh", gate_activation: str = "sigmoid", *, norm: bool = False) -> Cell:
    """The LSTM cell with these activations (`ACTIVATIONS`, `GATE_ACTIVATIONS`); with `norm`, layer-normalised.

    The same settings always give the same object, so what torch.compile made of its step serves every model.
    """
    return _cell(activation, gate_activation, norm)


@cache
def _cell(activation: str, gate_activation: str, norm: bool) -> Cell:
    settings = (("activation", activation, "tanh"), ("gate_activation", gate_activation, "sigmoid"))
    deviations = [f"{key}={value}" for key, value, plain in settings if value != plain]
    if norm:
        deviations.append("layer_norm=true")
    return Cell(
        name="lstm",
        gates=4,
        state_tensors=2,
        step=_step(ACTIVATIONS[activation], GATE_ACTIVATIONS[gate_activation], norm=norm),
        extras=NORM_EXTRAS if norm else (),
        additive=not norm,
        deviations=tuple(deviations),
        plain=lstm_cell() if deviations else None,
        kept=KEPT + (KEPT_BY_NORM if norm else 0),
    )


KEPT = 7
"""Gates, their input, both states."""
KEPT_BY_NORM = 17
"""For two normalised vectors of 4 * H numbers what went in and what came out; the normalised cell state."""


def _step(activation: Activation, gate_activation: Activation, *, norm: bool) -> Step:
    def step(
        from_input: Tensor,
        from_hidden: Tensor | None,
        state: LayerState,
        extras: tuple[Tensor, ...],
        masks: StepMasks,
    ) -> LayerState:
        """One step; shapes as in `lstm_lm.cells.interface.Step`, with G = 4 and the state `(h, c)`.

        With 16-bit products, gates and state are float32 all the same, or errors would add up over time.
        """
        h, c = state
        kind = torch.promote_types(from_input.dtype, torch.float32)
        if norm and from_hidden is not None:
            bias_ih, bias_hh, gain_ih, gain_hh, *_ = extras
            gates = layer_norm(from_input.to(kind), gain_ih, bias_ih) + layer_norm(
                from_hidden.to(kind), gain_hh, bias_hh
            )
        else:
            gates = (from_input if from_hidden is None else from_input + from_hidden).to(kind)
        i, f, g, o = gates.chunk(4, dim=-1)
        written = gate_activation(i) * drop(activation(g), masks.candidate)
        new_c = gate_activation(f) * c + written
        new_h = gate_activation(o) * activation(layer_norm(new_c, *extras[4:]) if norm else new_c)
        return zone_out(h, new_h, masks.hidden), zone_out(c, new_c, masks.cell)

    return step


LSTM = lstm_cell()
