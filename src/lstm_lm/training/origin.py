"""`init_from=`: the run or checkpoint whose weights and tokenizer a new run begins with."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lstm_lm.errors import UserError
from lstm_lm.models.interface import LanguageModel
from lstm_lm.models.weights import difference, model_weights, with_rows
from lstm_lm.runs import checkpoint_file, lookup
from lstm_lm.runs.checkpoint_fields import require
from lstm_lm.tokenizers import Tokenizer


def find_origin(init_from: str | None) -> dict[str, Any] | None:
    """The checkpoint that `init_from` means, of a run its best one; None: none is named.

    Raises:
        UserError: there is none, or it is damaged.
    """
    if init_from is None:
        return None
    path = origin_file(init_from)
    origin = checkpoint_file.load(path)
    require(origin, path, "state_dict", "lstm_lm.config.model", "lstm_lm.config.tokenizer", "lstm_lm.tokenizer")
    return origin


def origin_file(init_from: str) -> Path:
    """The file that `init_from` means.

    Raises:
        UserError: it is a run directory without a usable checkpoint.
    """
    path = Path(init_from)
    return lookup.resolve(str(path), None, path.parent)[0] if os.path.isdir(path) else path


def section_of(origin: Mapping[str, Any], name: str) -> Any:
    """A section of the configuration that it was trained with."""
    return origin["lstm_lm"]["config"][name]


def refuse_fixed(tokenizer: Tokenizer, init_from: str) -> None:
    """Refuse to extend a tokenizer that cannot grow.

    Raises:
        UserError: it cannot.
    """
    if not tokenizer.grows:
        why = ", and has tokens for every text already" if tokenizer.knows_all else ""
        remedy = "leave data.unknown out" if tokenizer.knows_all else "use data.unknown=skip or replace"
        raise UserError(
            f"data.unknown=extend: the {tokenizer.name} tokenizer of {init_from} cannot grow{why}\n"
            f"{remedy}; for tokens made of this text, start a new run, without init_from="
        )


def start_from(
    model: LanguageModel, section: Mapping[str, Any], origin: Mapping[str, Any], known: int, init_from: str
) -> None:
    """Give `model`, made as `section` says, the weights of `origin`, which has the first `known` of its tokens.

    Raises:
        UserError: they are of another model; says what to type for that one.
    """
    weights = with_rows(model_weights(origin), model, known)
    problem = difference(model.state_dict(), weights)
    if problem is not None:
        typed = as_typed(section, section_of(origin, "model"))
        remedy = f"type what that run's model has: {typed}" if typed else "use another run, or none"
        raise UserError(f"init_from={init_from}: its weights are of another model: {problem}\n{remedy}")
    model.load_state_dict(weights)


def as_typed(section: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The overrides that make `wanted` of the `model` section, as `model.hidden_size=64 model.num_layers=1`.

    Where the model is another one, whose defaults are not known here, all of its keys.
    """
    other = section["name"] != wanted["name"]
    words = [f"model={wanted['name']}"] if other else []
    for key, value in wanted.items():
        follows = key.endswith("_dropout") and value == wanted.get("dropout")  # what that key sets for all
        if key != "name" and not follows and (other or section.get(key) != value):
            words.append(f"model.{key}={_typed(value)}")
    return " ".join(words)


def _typed(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
