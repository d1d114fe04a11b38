"""The mathematics of one step. Pure functions of tensors: no parameters, no modules, no loops over time."""

from lstm_lm.cells.gru import GRU
from lstm_lm.cells.interface import Cell, Extra, LayerState, StepMasks
from lstm_lm.cells.lstm import LSTM
from lstm_lm.cells.rnn import RNN

__all__ = ["GRU", "LSTM", "RNN", "Cell", "Extra", "LayerState", "StepMasks"]
