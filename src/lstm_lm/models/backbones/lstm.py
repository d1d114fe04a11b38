"""`model=lstm`: the stacked LSTM language model."""

from typing import Annotated, Literal

import torch
from pydantic import Field

from lstm_lm.cells.interface import Cell
from lstm_lm.cells.lstm import lstm_cell
from lstm_lm.models.recurrent_language_model import Inside, RecurrentLanguageModel, RecurrentOptions
from lstm_lm.options import Probability


class LSTMOptions(RecurrentOptions):
    """The `model` section of `model=lstm`."""

    recurrent_dropout: Probability
    zoneout_cell: Probability
    forget_bias: Annotated[float, Field(ge=-10, le=10)]
    activation: Literal["tanh", "relu", "leaky_relu"]
    gate_activation: Literal["sigmoid", "hard_sigmoid"]
    layer_norm: bool

    @property
    def inside(self) -> Inside:
        return super().inside._replace(zoneout_cell=self.zoneout_cell, recurrent_dropout=self.recurrent_dropout)


class LSTMLanguageModel(RecurrentLanguageModel):
    """A `RecurrentLanguageModel` of LSTM cells."""

    OptionsType = LSTMOptions

    @classmethod
    def cell_of(cls, options: RecurrentOptions) -> Cell:
        """The LSTM, or the variant of it that `options` describe."""
        assert isinstance(options, LSTMOptions)
        return lstm_cell(options.activation, options.gate_activation, norm=options.layer_norm)

    def reset_gates(self) -> None:
        """A forget gate that starts open lets gradients through time (Gers et al., 2000; Jozefowicz et al., 2015)."""
        assert isinstance(self.options, LSTMOptions)
        with torch.no_grad():
            for weights in self.stack.layer_parameters():
                _, forget, _, _ = weights.bias_ih.chunk(4)
                forget.fill_(self.options.forget_bias)
                weights.bias_hh.chunk(4)[1].zero_()  # the two biases add up


MODEL = LSTMLanguageModel
