"""Whether a model is one that predicts next tokens."""

from lstm_lm.errors import UserError
from lstm_lm.models.loading import Loaded


def require_language_model(loaded: Loaded, verb: str) -> None:
    """Refuse what `verb` can do nothing with.

    Raises:
        UserError: the model was trained for something else.
    """
    if loaded.model.objective != "language_modelling":
        raise UserError(
            f"{loaded.checkpoint}: its model was not trained to predict next tokens ({loaded.model.objective})\n"
            f"{verb} takes a language model: run=DIR"
        )
