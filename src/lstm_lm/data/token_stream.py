"""Where a text's token ids lie while windows are cut from them: in the host's memory, or all of them on the GPU.

On the GPU a window costs a few small kernels and no copy. In the host's memory it is cut there, pinned, and copied
while the GPU still computes the step before. Either way it is handed out where it is needed. On a CPU there is nothing
to place: windows are cut from the memory map.
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lstm_lm.errors import UserError

TokenStreamOption = Literal["auto", "device", "host"]

SHARE_OF_FREE_MEMORY = 0.1
"""With `auto` the text goes onto the GPU if it takes at most this part of its free memory: the rest is the model's."""


class Reader(Protocol):
    """Reads the same places of B streams, again and again, each time shifted."""

    def read(self, shift: int, length: int) -> Tensor:
        """The ids at (stream's first position + `shift` + 0, 1, ..., `length` - 1), int64[length, B]."""


@dataclass(frozen=True)
class Placement:
    """Where a text lies, and where its windows are handed out."""

    device: torch.device
    """Where windows are needed."""
    on_device: bool
    """Whether the whole text lies there."""
    reason: str
    """For people: why."""

    @property
    def name(self) -> Literal["device", "host"]:
        """As `runtime.token_stream` calls it."""
        return "device" if self.on_device else "host"

    def place(self, tokens: NDArray[Any]) -> "Placed":
        """Bring a split's ids there; a memory map in the host's memory stays one."""
        if not self.on_device:  # a memory map's own indexing costs more than the window: a plain view of it is read
            return Placed(self.device, np.asarray(tokens), None)
        kind = _torch_type(int(tokens.max()) + 1 if len(tokens) else 1)
        narrow = np.asarray(tokens).astype(torch.empty(0, dtype=kind).numpy().dtype)  # a copy: the map is read-only
        return Placed(self.device, np.asarray(tokens), torch.from_numpy(narrow).to(self.device))


ON_HOST = Placement(torch.device("cpu"), on_device=False, reason="there is nothing to copy to")
"""On a CPU: windows of the memory map."""


@dataclass(frozen=True)
class Placed:
    """A split's ids, [N]."""

    device: torch.device
    host: NDArray[Any]
    on_device: Tensor | None

    def __len__(self) -> int:
        """N."""
        return len(self.host)

    def take(self, positions: NDArray[np.int64]) -> Tensor:
        """The ids at `positions` (any shape; -1 is the last token), int64, where windows are needed."""
        if self.on_device is not None:
            return self.on_device[torch.from_numpy(positions).to(self.device)].to(torch.int64)
        return _handed_out(self.host.take(positions, mode="wrap"), self.device)

    def reader(self, first: NDArray[np.int64], most: int, *, circular: bool) -> Reader:
        """What reads B streams.

        Args:
            first: position of each stream's first token, [B].
            most: largest `length` that is read at once.
            circular: whether after the last token comes the first, or the last again.
        """
        positions = first[None, :] + np.arange(most, dtype=np.int64)[:, None]
        if self.on_device is not None:
            return _OnDevice(self.on_device, torch.from_numpy(positions).to(self.device), circular)
        return _OnHost(self.host, positions, circular, self.device)


class _OnHost:
    def __init__(self, tokens: NDArray[Any], positions: NDArray[np.int64], circular: bool, device: torch.device):
        self._tokens = tokens
        self._positions = positions
        self._mode: Literal["wrap", "clip"] = "wrap" if circular else "clip"
        self._device = device

    def read(self, shift: int, length: int) -> Tensor:
        return _handed_out(self._tokens.take(self._positions[:length] + shift, mode=self._mode), self._device)


def _handed_out(found: NDArray[Any], device: torch.device) -> Tensor:
    """Ids in the host's memory as int64 on `device`."""
    # Only a copy from pinned memory returns before it is done. On Apple's GPUs it may then be read too early.
    pinned = device.type == "cuda"
    ids = torch.from_numpy(found.astype(np.int64))
    if pinned:
        ids = ids.pin_memory()
    return ids.to(device, non_blocking=pinned)


class _OnDevice:
    def __init__(self, tokens: Tensor, positions: Tensor, circular: bool):
        self._tokens = tokens
        self._positions = positions
        self._circular = circular

    def read(self, shift: int, length: int) -> Tensor:
        positions = self._positions[:length] + shift
        count = len(self._tokens)
        positions = positions.remainder_(count) if self._circular else positions.clamp_(max=count - 1)
        return self._tokens[positions].to(torch.int64)


def choose(asked: TokenStreamOption, device: torch.device, tokens: int, vocabulary_size: int) -> Placement:
    """Where a text lies.

    Args:
        asked: `runtime.token_stream`.
        device: where the model computes.
        tokens: of all splits together.
        vocabulary_size: ids are less.

    Raises:
        UserError: it must lie on a GPU that has not enough free memory for it.
    """
    if device.type == "cpu":
        return ON_HOST
    if asked == "host":
        return Placement(device, on_device=False, reason="asked for")
    size = tokens * _torch_type(vocabulary_size).itemsize
    free = free_memory(device)
    if asked == "device":
        if free is not None and size > free:
            raise UserError(
                f"runtime.token_stream=device: the text takes {_mib(size)}, and {device} has {_mib(free)} free\n"
                "use runtime.token_stream=auto, which leaves it in the host's memory"
            )
        return Placement(device, on_device=True, reason="asked for")
    if free is None:
        return Placement(device, on_device=False, reason=f"{device} shares the host's memory")
    share = f"{_mib(size)} of {_mib(free)} free"
    if size > free * SHARE_OF_FREE_MEMORY:
        return Placement(device, on_device=False, reason=f"too much for {device}: {share}")
    return Placement(device, on_device=True, reason=share)


def free_memory(device: torch.device) -> int | None:
    """Bytes of `device`'s own memory that are free; None: it has none of its own."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None


def _torch_type(vocabulary_size: int) -> torch.dtype:
    """The smallest type for ids that a GPU can index: of PyTorch's unsigned types only uint8 is a full one."""
    for kind in (torch.uint8, torch.int16, torch.int32):
        if vocabulary_size - 1 <= torch.iinfo(kind).max:
            return kind
    return torch.int64


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
