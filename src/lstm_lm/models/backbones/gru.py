"""`model=gru`: the stacked GRU language model."""

from lstm_lm.cells.gru import GRU
from lstm_lm.cells.interface import Cell
from lstm_lm.models.recurrent_language_model import Inside, RecurrentLanguageModel, RecurrentOptions
from lstm_lm.options import Probability


class GRUOptions(RecurrentOptions):
    """The `model` section of `model=gru`."""

    recurrent_dropout: Probability

    @property
    def inside(self) -> Inside:
        return super().inside._replace(recurrent_dropout=self.recurrent_dropout)


class GRULanguageModel(RecurrentLanguageModel):
    """A `RecurrentLanguageModel` of GRU cells."""

    OptionsType = GRUOptions

    @classmethod
    def cell_of(cls, options: RecurrentOptions) -> Cell:  # noqa: ARG003
        """The GRU."""
        return GRU


MODEL = GRULanguageModel
