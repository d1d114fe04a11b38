"""The mathematics of one step. Pure functions of tensors: no parameters, no modules, no loops over time."""

from lstm_lm.cells.interface import Cell, Extra, LayerState, StepMasks
from lstm_lm.cells.lstm import LSTM

__all__ = ["LSTM", "Cell", "Extra", "LayerState", "StepMasks"]
