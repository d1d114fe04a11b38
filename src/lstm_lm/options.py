"""Typed options: a plain mapping (one section of the configuration) becomes a checked, frozen object.

The *values* live in `conf/` alone; a class derived from `Options` says which keys a component takes and in what
range, so a wrong value is refused, with key, value and allowed range, before any data is read.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lstm_lm.errors import UserError
from lstm_lm.printable import shortened

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_TYPES = frozenset({"bool", "int", "float", "str"})
"""What pydantic adds to the place of a problem with one of several types."""
MOST_PROBLEMS_SHOWN = 3
LONGEST_VALUE_SHOWN = 200
"""Characters."""

Width = Annotated[int, Field(ge=1, le=65536)]
"""Numbers in a vector of a model."""
Probability = Annotated[float, Field(ge=0, lt=1)]
"""Of dropout: 1 would leave nothing."""


class Options(BaseModel):
    """Base of every component's options: no default values, no unknown keys, no NaN, nothing silently converted."""

    # Of the classes there are, a command uses few: their validators are built when they are first used.
    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str) -> Self:
        """Check `values`, the section called `where` ("model", "data", ...).

        Raises:
            UserError: a key is unknown or missing, or its value is out of range.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise UserError(_explain(error, where, sorted(cls.model_fields))) from None


def _explain(error: ValidationError, where: str, known: list[str]) -> str:
    """One line a key: its name, its value, what is allowed."""
    prefix = f"{where}." if where else ""
    lines: dict[str, str] = {}
    for problem in error.errors():
        name = str(problem["loc"][0]) if problem["loc"] else ""
        parts = [part for part in map(str, problem["loc"]) if part.isidentifier() and part not in _TYPES]
        key = prefix + ".".join(part for part in parts if part[0].islower())
        if problem["type"] == "extra_forbidden":
            line = f"{prefix}{shown_key(name)}: no such key (known: {', '.join(known)})"
        elif problem["type"] == "missing":
            line = f"{key}: missing"
        elif not name:  # several keys that do not fit together: the message names them
            line = f"{where or 'configuration'}: {_allowed(problem['msg'])}"
        else:
            value = shortened(repr(problem["input"]), LONGEST_VALUE_SHOWN)
            line = f"{key}={value}: {_allowed(_constraint(problem) or problem['msg'])}"
        lines.setdefault(prefix + name, line)  # of a union's alternatives, the first that was tried
    shown = list(lines.values())
    if len(shown) > MOST_PROBLEMS_SHOWN:
        shown = [*shown[:MOST_PROBLEMS_SHOWN], f"... and {len(shown) - MOST_PROBLEMS_SHOWN} more"]
    return "\n".join(shown)


def shown_key(name: object) -> str:
    """A key that somebody has made up: as it is where it could be one."""
    return name if isinstance(name, str) and name.isidentifier() else repr(name)


def _constraint(problem: "ErrorDetails") -> str | None:
    """What is allowed of a length or a text, in words for people; None: pydantic's own will do."""
    kind, limits = problem["type"], problem.get("ctx", {})
    if kind in ("too_short", "too_long", "string_too_short", "string_too_long"):
        least = kind.endswith("short")
        count = limits["min_length" if least else "max_length"]
        what = "character" if kind.startswith("string") else "entry"
        many = what if count == 1 else {"character": "characters", "entry": "entries"}[what]
        return f"must have at {'least' if least else 'most'} {count} {many}"
    if kind == "string_pattern_mismatch":
        return f"must be a text of the form {limits['pattern']}"
    return None


def _allowed(message: str) -> str:
    """`Input should be greater than 0` -> `must be greater than 0`."""
    return message.replace("Value error, ", "").replace("Input should be", "must be", 1)
