"""From the configuration's `model` section to a model."""

from collections.abc import Mapping
from typing import Any

from lstm_lm.models.interface import LanguageModel
from lstm_lm.registry import find


def build_model(options: Mapping[str, Any], vocabulary_size: int) -> LanguageModel:
    """Make the backbone that `options["name"]` names, with V = `vocabulary_size`.

    Raises:
        UserError: no such backbone, or one of its options is wrong.
    """
    model: type[LanguageModel] = find("lstm_lm.models.backbones", str(options.get("name")), "model").MODEL
    return model.build(options, vocabulary_size)
