"""Dropout masks that belong to the model: drawn from a generator of its own that a checkpoint saves.

Whatever executes the stack gets the same masks from the same seed, and a resumed run draws what it would have drawn.

Masks are cut from raw random bits, 16 a value: on a CPU about eight times faster than a Bernoulli draw per value
(benchmarks/dropout.py). The probability is exact to 1/65,536, and the scale is that of the exact one. A device that
cannot fill words with bits draws a uniform number a value instead.
"""

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor

LEVELS = 2**16
ALL = (-(2**63), None)
"""The range of every int64."""


@cache
def draws_raw_bits(device: str) -> bool:
    """Whether this type of device fills 64 bits at once: tried. By its sources MPS does not; nothing has run on one."""
    try:
        torch.empty(1, dtype=torch.int64, device=device).random_(*ALL, generator=torch.Generator(device))
    except RuntimeError:
        return False
    return True


class MaskSource:
    """Draws masks on whatever device they are asked for, from a generator on that device."""

    def __init__(self) -> None:
        self._seed = 0
        self._generator: torch.Generator | None = None
        self._restored: dict[str, Any] | None = None

    def seed(self, seed: int) -> None:
        """Start from `seed`."""
        self._seed = seed
        self._generator = None
        self._restored = None

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds: plain values and one tensor."""
        if self._generator is not None:
            return {"seed": self._seed, "device": self._generator.device.type, "bits": self._generator.get_state()}
        return self._restored or {"seed": self._seed}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state()` gave. On another type of device the draws start again from the seed."""
        self.seed(int(state["seed"]))
        self._restored = dict(state)

    def draw(self, p: float, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """A mask of 0 and 1 / (1 - p), for dropout with probability 0 <= p < 1; device and type are those of `like`."""
        generator = self._on(like.device)
        kept = max(1, round((1.0 - p) * LEVELS))
        if not draws_raw_bits(like.device.type):
            stays = torch.rand(shape, device=like.device, generator=generator) < kept / LEVELS
            return stays.to(like.dtype).mul_(LEVELS / kept)
        count = math.prod(shape)
        words = torch.empty((count + 3) // 4, dtype=torch.int64, device=like.device).random_(*ALL, generator=generator)
        bits = words.view(torch.int16)[:count].view(shape)
        return (bits <= kept - LEVELS // 2 - 1).to(like.dtype).mul_(LEVELS / kept)

    def _on(self, device: torch.device) -> torch.Generator:
        if self._generator is None or self._generator.device.type != device.type:
            self._generator = torch.Generator(device)
            self._generator.manual_seed(self._seed)
            if self._restored is not None and self._restored.get("device") == device.type:
                self._generator.set_state(self._restored["bits"].cpu())
            self._restored = None
        return self._generator
