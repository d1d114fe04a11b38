"""What a model is trained to do. One module is one option of the group `objective=`."""

from collections.abc import Mapping
from typing import Any

from lstm_lm.errors import UserError
from lstm_lm.models.build import model_class, model_options
from lstm_lm.options import Options
from lstm_lm.registry import find
from lstm_lm.training.objectives.interface import Objective


def objective_options(section: Mapping[str, Any], model: Mapping[str, Any]) -> Options:
    """Check the `objective` section by itself and against the `model` section.

    Raises:
        UserError: no such objective or backbone; a key is unknown or missing, or its value is out of range; they do
            not go together.
    """
    kind = _objective_class(section)
    options = kind.OptionsType.parse(section, "objective")
    name, checked = str(model.get("name")), model_options(model)
    if (wanted := model_class(name).objective) != section["name"]:
        raise UserError(f"objective={section['name']}: cannot train model={name}, which goes with objective={wanted}")
    kind.check(options, model_class(name), checked)
    return options


def build_objective(section: Mapping[str, Any], model: Mapping[str, Any]) -> Objective:
    """Make the objective that the `objective` section describes, for what the `model` section does.

    Raises:
        UserError: as `objective_options`.
    """
    return _objective_class(section)(objective_options(section, model), model_options(model))


def _objective_class(section: Mapping[str, Any]) -> type[Objective]:
    kind: type[Objective] = find(__name__, str(section.get("name")), "objective").OBJECTIVE
    return kind
