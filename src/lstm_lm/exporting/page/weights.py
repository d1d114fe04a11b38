"""Weights as text inside a page: little-endian numbers, one tensor after the other, in base64."""

import base64
import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from lstm_lm.errors import UserError
from lstm_lm.models.interface import LanguageModel

Number = Literal["float16", "float32"]

TYPES: Mapping[Number, str] = {"float16": "<f2", "float32": "<f4"}
MOST_BYTES = 96 * 2**20
"""Of weights: 128 MiB as text. A browser that reads more takes several times that, and a token a tenth of a second."""


def refuse_too_large(parameters: int, number: Number) -> None:
    """Refuse a model that would make a page too large.

    Raises:
        UserError: it would; what would fit.
    """
    size = np.dtype(TYPES[number]).itemsize
    if parameters * size <= MOST_BYTES:
        return
    mebibytes = parameters * size / 2**20
    fits = {name: MOST_BYTES // np.dtype(kind).itemsize for name, kind in TYPES.items()}
    halved = "weights=float16, " if number == "float32" and parameters <= fits["float16"] else ""
    raise UserError(
        f"format=html: {parameters:,} weights are {mebibytes:,.0f} MiB as {number}: too large for a page\n"
        f"it holds {MOST_BYTES // 2**20} MiB: {fits['float16']:,} weights as float16, {fits['float32']:,} as float32\n"
        f"choose {halved}another format, or a smaller model"
    )


def rounded(model: LanguageModel) -> LanguageModel:
    """A copy whose weights are float16 numbers, in float32.

    Raises:
        UserError: one is beyond their range.
    """
    made = copy.deepcopy(model)
    with torch.no_grad():
        for name, tensor in made.state_dict().items():
            tensor.copy_(tensor.half())
            if not bool(tensor.isfinite().all()):
                raise UserError(
                    f"format=html: {name} has a weight beyond the range of float16\ntake weights=float32 for it"
                )
    return made


def packed(tensors: Iterable[Tensor], number: Number) -> str:
    """Base64 of `tensors`."""
    content = b"".join(tensor.cpu().float().numpy().astype(TYPES[number]).tobytes() for tensor in tensors)
    return base64.b64encode(content).decode("ascii")


def unpacked(text: str, number: Number, shapes: Sequence[tuple[str, Sequence[int]]]) -> dict[str, Tensor]:
    """The tensors called and shaped `shapes`, float32, of what `packed` gave.

    Raises:
        ValueError: there are not as many numbers.
    """
    numbers = torch.from_numpy(np.frombuffer(base64.b64decode(text), TYPES[number]).astype(np.float32))
    found: dict[str, Any] = {}
    parts = torch.split(numbers, [int(np.prod(shape)) for _, shape in shapes])
    for (name, shape), part in zip(shapes, parts, strict=True):
        found[name] = part.view(*shape)
    return found
