"""`model=rnn`: the stacked language model of simple recurrent cells."""

from typing import Literal

from lstm_lm.cells.interface import Cell
from lstm_lm.cells.rnn import rnn_cell
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel, RecurrentOptions


class RNNOptions(RecurrentOptions):
    """The `model` section of `model=rnn`."""

    activation: Literal["tanh", "relu"]


class RNNLanguageModel(RecurrentLanguageModel):
    """A `RecurrentLanguageModel` of simple cells."""

    OptionsType = RNNOptions

    @classmethod
    def cell_of(cls, options: RecurrentOptions) -> Cell:
        """The simple cell with the activation of `options`."""
        assert isinstance(options, RNNOptions)
        return rnn_cell(options.activation)


MODEL = RNNLanguageModel
