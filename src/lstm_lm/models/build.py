"""From the configuration's `model` section to a model."""

from collections.abc import Mapping
from typing import Any

import torch

from lstm_lm.models.interface import LanguageModel
from lstm_lm.options import Options
from lstm_lm.registry import find


def model_class(name: str) -> type[LanguageModel]:
    """The backbone called `name`.

    Raises:
        UserError: there is none; the message lists those there are.
    """
    model: type[LanguageModel] = find("lstm_lm.models.backbones", name, "model").MODEL
    return model


def model_options(section: Mapping[str, Any]) -> Options:
    """Check the `model` section without making the model.

    Raises:
        UserError: no such backbone; a key is unknown or missing, or its value is out of range.
    """
    return model_class(str(section.get("name"))).OptionsType.parse(section, "model")


def count_parameters(section: Mapping[str, Any], vocabulary_size: int) -> int:
    """Of the model that the `model` section describes; none of its memory is taken."""
    with torch.device("meta"):
        return blank_model(section, vocabulary_size).num_parameters()


def build_model(section: Mapping[str, Any], vocabulary_size: int) -> LanguageModel:
    """Make the model that the `model` section describes, with V = `vocabulary_size`, ready to be trained.

    Raises:
        UserError: as `model_options`.
    """
    model = blank_model(section, vocabulary_size)
    model.reset_parameters()
    return model


def blank_model(section: Mapping[str, Any], vocabulary_size: int) -> LanguageModel:
    """Make the model without drawing its parameters: to load weights into, or on the meta device for their shapes.

    Raises:
        UserError: as `model_options`.
    """
    return model_class(str(section.get("name")))(model_options(section), vocabulary_size)
