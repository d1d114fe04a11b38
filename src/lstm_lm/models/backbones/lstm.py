"""`model=lstm`: the stacked LSTM language model."""

import torch

from lstm_lm.cells.lstm import LSTM
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel


class LSTMLanguageModel(RecurrentLanguageModel):
    """A `RecurrentLanguageModel` of LSTM cells."""

    cell = LSTM

    def set_forget_bias(self, value: float) -> None:
        """A forget gate that starts open lets gradients through time (Gers et al., 2000; Jozefowicz et al., 2015)."""
        with torch.no_grad():
            for weights in self.stack.layers():
                _, forget, _, _ = weights.bias_ih.chunk(4)
                forget.fill_(value)
                weights.bias_hh.chunk(4)[1].zero_()  # the two biases add up


MODEL = LSTMLanguageModel
