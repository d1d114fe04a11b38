"""What is minimised. One module is one option of the group `objective=`."""

from collections.abc import Mapping
from typing import Any

from lstm_lm.errors import UserError
from lstm_lm.models.build import model_class, model_options
from lstm_lm.registry import find
from lstm_lm.training.objectives.interface import Objective


def build_objective(section: Mapping[str, Any], model: Mapping[str, Any]) -> Objective:
    """Check the `objective` section by itself and against the `model` section.

    Raises:
        UserError: no such objective or backbone; a key is unknown or missing, or its value is out of range; they do
            not go together.
    """
    kind: type[Objective] = find(__name__, str(section.get("name")), "objective").OBJECTIVE
    objective, name = kind.parse(section, "objective"), str(model.get("name"))
    model_options(model)
    if (wanted := model_class(name).objective) != objective.name:
        raise UserError(f"objective={objective.name}: cannot train model={name}, which goes with objective={wanted}")
    objective.check(model_class(name), name)
    return objective
