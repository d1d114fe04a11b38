"""Checkpoints that somebody else may have made: what one claims to hold is checked before it is used.

A digest says nothing about this: whoever forges a file can forge its digest. A few bytes of a zip archive can claim a
terabyte (compressed members, several entries for the same bytes), and so can a few bytes of a pickle (a tensor with a
stride of zero, `bytearray(10**12)`, lists of the same list). `torch.save` writes none of these.

What comes out of it has plain values and dense tensors alone; `checkpoint_fields.py` looks at their types.
"""

import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from io import BufferedRandom, BufferedReader
from types import NoneType
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

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
