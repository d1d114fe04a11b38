"""The fields of a checkpoint and their types, held to them before anything reads one.

Whether their values fit a model or a training is for those to say who have one (`training/checkpoint_fit.py`).
"""

from collections.abc import Mapping
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, create_model
from torch import Tensor

from lstm_lm.errors import UserError
from lstm_lm.flat_keys import at

Count = Annotated[int, Field(ge=0, lt=2**53)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _without_tensors(value: Any) -> Any:
    if isinstance(value, Tensor):
        raise ValueError("must be a plain value")
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ():
        _without_tensors(part)
    if isinstance(value, Mapping) and not all(isinstance(name, str) for name in value):
        raise ValueError("must have names for keys")
    return value


Plain = Annotated[dict[str, Any], BeforeValidator(_without_tensors)]
_OneOf = Annotated[list[dict[str, Any]], Field(min_length=1, max_length=1)]


def _part(**fields: Any) -> Any:
    """A section with these fields, each of a type, or of (a type, what it is where it is not there).

    Other fields are for those to check who read them.
    """
    config = ConfigDict(
        defer_build=True, strict=True, extra="allow", arbitrary_types_allowed=True, protected_namespaces=()
    )
    definitions: dict[str, Any] = {
        name: kind if isinstance(kind, tuple) else (kind, ...) for name, kind in fields.items()
    }
    return create_model("Part", __config__=config, **definitions)


def _each(kind: Any) -> Any:
    return GenericAlias(dict, (str, kind))


def _plain(kind: Any) -> Any:
    return Annotated[kind, BeforeValidator(_without_tensors)]


SECTIONS = (
    *("data", "tokenizer", "model", "precision", "compile", "device", "objective", "optimizer", "scheduler"),
    *("averaging", "tune", "trainer", "callbacks", "logger", "runtime"),
)
"""Of a configuration, those that are looked into before the options that they belong to are checked."""

_CHECKPOINT = _part(
    **{"pytorch-lightning_version": Annotated[str, Field(pattern=r"^([3-9]|2\.([6-9]|\d\d))\.[\w.+]{1,40}$")]},
    epoch=Count,
    global_step=Count,
    state_dict=dict[str, Tensor],
    loops=dict[str, Any],
    callbacks=_part(Timer=(_plain(_part(time_elapsed=_each(Seconds)) | None), None)),
    optimizer_states=_OneOf,
    lr_schedulers=_OneOf,
    TextDataModule=dict[str, Plain],
    lstm_lm=_part(
        config=_plain(_part(**dict.fromkeys(SECTIONS, Plain), forward=_part(name=str), init_from=str | None)),
        tokenizer=Plain,
        added_tokens=(_plain(list[str] | None), None),
        data=_plain(
            _part(
                sources=dict[str, str],
                splits=_each(_part(tokens=Count, start=Count, stop=Count | None)),
                units=(_part(separator=str, seed=Count) | None, None),
            )
        ),
        training_units=(Tensor | None, None),
        tuning=_plain(_part(name=str, options=Plain, chosen=dict[str, bool | int | float | str | None]) | None),
        resolved=_plain(_part(device=str, precision=str, forward=str, threads=Annotated[int, Field(ge=1, le=2**16)])),
        code=dict[str, str],
        within_a_step=bool,
        averaging=_part(weights=dict[str, Tensor], options=Plain),
        other_processes=Annotated[list[dict[str, Any]], Field(max_length=2**16)],
        row=dict[str, float],
        seconds=Seconds,
        validation_due=bool,
        progress=_part(best=Annotated[float, Field(allow_inf_nan=False)] | None, waited=Count, reductions=Count),
        validation=_part(
            step=Count,
            text=Count,
            loss=float,
            counts=_part(tokens=Annotated[int, Field(ge=1, lt=2**53)], characters=Count, bytes=Count),
            no_bits=str | None,
            shares=dict[str, float],
        )
        | None,
    ),
)


def check(checkpoint: Mapping[str, Any], path: Path, *, whole: bool) -> None:
    """Refuse a checkpoint of whose fields one is of another type than it has to be.

    Args:
        checkpoint: what was read.
        path: the file, for the message.
        whole: whether all fields must be there, as they must to resume from it.

    Raises:
        UserError: names the field.
    """
    try:
        _CHECKPOINT.model_validate(checkpoint)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            if whole or problem["type"] != "missing":
                where = ".".join(map(str, problem["loc"]))
                raise misfit(path, f"{where:.200}: {problem['msg']:.200}") from None


def require(checkpoint: Mapping[str, Any], path: Path, *names: str) -> None:
    """Refuse a checkpoint that lacks one of these fields, dots for fields within fields.

    Raises:
        UserError: says which.
    """
    for name in names:
        if at(checkpoint, name) is None:
            raise misfit(path, f"it has no {name}")


def misfit(path: Path, what: str) -> UserError:
    """The error for a checkpoint that is whole, and not what one of a run is."""
    return UserError(
        f"{path}: the parts of this checkpoint do not fit together:\n{what}\n"
        "use another checkpoint: ckpt_path=FILE or run=DIR"
    )
