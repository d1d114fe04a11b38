"""Checkpoints that somebody else may have made: what one claims to hold is checked before it is used.

A digest says nothing about this: whoever forges a file can forge its digest. A few bytes of a zip archive can claim a
terabyte (compressed members, several entries for the same bytes), and so can a few bytes of a pickle (a tensor with a
stride of zero, `bytearray(10**12)`, lists of the same list). `torch.save` writes none of these.

What comes out of it has plain values and dense tensors alone, and its fields are of the types that they are read as.
Whether their values fit a model or a training is for those to say who have one (`training/checkpoint_fit.py`).
"""

import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from io import BufferedRandom, BufferedReader
from pathlib import Path
from types import GenericAlias, NoneType
from typing import Annotated, Any

import torch
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, create_model
from torch import Tensor
from torch.nn import Parameter

from lstm_lm.errors import UserError
from lstm_lm.flat_keys import at
from lstm_lm.printable import cause_of

DEEPEST = 40
"""Sections within sections; a run's own has about ten."""
MOST_TIMES = 8
"""What is in memory, against what is in the file: names and tied weights are written once, and used several times."""
LARGEST_NUMBER = 2**64

_GLOBALS = {"torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter", "collections OrderedDict"} | {
    f"torch {kind}Storage"
    for kind in ("Half", "BFloat16", "Float", "Double", "Byte", "Char", "Short", "Int", "Long", "Bool")
}
"""What a pickle may call: of what torch allows with weights_only=True, what tensors of a checkpoint need."""

MOST_PARTS = 100_000
"""Tensors, nearly: an optimizer keeps a few for each of a model's."""
MOST_OPERATIONS = 5_000_000
"""Of a pickle; a vocabulary of 100,000 tokens takes a tenth of them."""


class Forged(Exception):
    """The text says what is claimed that cannot be."""


class Foreign(Forged):
    """It would call what none of ours calls, and that could run something."""


def check_archive(file: BufferedReader | BufferedRandom, size: int) -> None:
    """Hold the archive's index against its `size` in bytes, and look at what its pickle would call.

    Raises:
        Forged: it claims more than there is, or calls for something else than tensors and plain values.
    """
    try:
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            # Python finds an index behind bytes that are none of the archive's, where torch may read another one.
            if not entries or min(entry.header_offset for entry in entries) != 0:
                raise Forged("its index is not where it says")
            if len(entries) > MOST_PARTS:
                raise Forged(f"it has more than {MOST_PARTS:,} parts")
            if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
                raise Forged("a part of it is compressed, which checkpoints are not")
            if any(entry.file_size != entry.compress_size for entry in entries):
                raise Forged("its index gives a part two sizes")
            if sum(entry.file_size for entry in entries) > size:
                raise Forged("its index claims more bytes than the file has")
            names = {entry.filename.casefold() for entry in entries}
            if len(names) < len(entries) or len({name.partition("/")[0] for name in names}) != 1:
                raise Forged("its index has a name twice")
            pickles = [entry for entry in entries if entry.filename.partition("/")[2] == "data.pkl"]
            if not pickles:
                raise Forged("it is no archive of PyTorch's")
            for number, (operation, argument, _) in enumerate(pickletools.genops(archive.read(pickles[0]))):
                if number > MOST_OPERATIONS:  # each may make an object that takes many times its own bytes
                    raise Forged(f"its pickle has more than {MOST_OPERATIONS:,} operations")
                if operation.name in ("STACK_GLOBAL", "INST") or (
                    operation.name == "GLOBAL" and argument not in _GLOBALS
                ):
                    raise Foreign(f"it would call {argument or 'something else'}")
    except Forged:
        raise
    except (MemoryError, OSError):
        raise
    except Exception as error:  # zipfile and pickletools raise whatever a forged archive makes them stumble over
        raise Forged(f"its index cannot be read: {cause_of(error)}") from None


def plain(content: Any, size: int) -> Any:
    """A copy of what torch has read, of dictionaries, lists, tuples, plain values and dense tensors alone.

    Tensors are the same, without gradients. What is there several times under one identity is several things.

    Raises:
        Forged: there is something else, something larger than a file of `size` bytes can hold, or a ring.
    """
    budget = _Budget(size * MOST_TIMES)
    return _copy(content, budget, DEEPEST)


def foreign_in(value: Any) -> str | None:
    """What of `value` no checkpoint gives back, as its type's name; None: it is of plain values and tensors.

    Types are exact: of a class derived from one of these a pickle names the class.
    """
    kind = type(value)
    if kind in (dict, OrderedDict):
        odd = (f"{type(key).__name__} as a key" for key in value if type(key) not in (str, int))
        return next(odd, None) or foreign_in(list(value.values()))
    if kind in (list, tuple):
        return next((found for found in map(foreign_in, value) if found), None)
    if kind is int and abs(value) >= LARGEST_NUMBER:
        return "int of more than 64 bits"
    return None if kind in (NoneType, bool, int, float, str, Tensor, Parameter) else kind.__name__


class _Budget:
    def __init__(self, left: int) -> None:
        self._left = left

    def spend(self, cost: int) -> None:
        self._left -= cost
        if self._left < 0:
            raise Forged("it stands for more than the file can hold")


def _copy(node: Any, budget: _Budget, depth: int) -> Any:
    budget.spend(1)
    if isinstance(node, Mapping):
        _check_depth(depth)
        return {_key(key, budget): _copy(value, budget, depth - 1) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        _check_depth(depth)
        parts = [_copy(part, budget, depth - 1) for part in node]
        return parts if isinstance(node, list) else tuple(parts)
    if isinstance(node, Tensor):
        return _tensor(node, budget)
    return _value(node, budget)


def _check_depth(depth: int) -> None:
    if depth <= 0:
        raise Forged(f"it is nested more than {DEEPEST} deep")


def _key(key: Any, budget: _Budget) -> Any:
    if not isinstance(key, (str, int)):
        raise Forged("a name in it is no text")
    return _value(key, budget)


def _value(node: Any, budget: _Budget) -> Any:
    if isinstance(node, str):
        budget.spend(len(node))
    elif isinstance(node, int):
        if abs(node) >= LARGEST_NUMBER:
            raise Forged("a number in it has more than 64 bits")
    elif node is not None and not isinstance(node, float):
        raise Forged(f"it holds a {type(node).__name__}, which is neither a tensor nor a plain value")
    return node


def _tensor(tensor: Tensor, budget: _Budget) -> Tensor:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_neg() or tensor.is_conj():
        raise Forged("a tensor in it is no plain one")
    taken = tensor.numel() * tensor.element_size()
    if taken > tensor.untyped_storage().nbytes():
        raise Forged(f"a tensor of {tensor.numel():,} numbers has room for fewer")
    budget.spend(taken)
    return tensor.detach()


# Fields and their types

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


def check_fields(checkpoint: Mapping[str, Any], path: Path, *, whole: bool) -> None:
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
