"""What the processes of a run tell each other, through torch.distributed."""

import io
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from torch import Tensor

TIME_TO_PART = timedelta(seconds=30)
"""For the word of rank 0 that it has ended: gloo waits until each of the others takes it, and one may be dying."""
PATIENCE = timedelta(days=7)
"""Of the others while rank 0 reads text or tunes. Its end ends their waiting."""
_WORDS_OF_A_LOSS = (
    "gloo/transport/",
    "ncclRemoteError",
    "ncclSystemError",
    "NCCL communicator was aborted",
    "Watchdog caught collective operation timeout",
)
"""Of gloo's errors, which are plain RuntimeErrors, and of NCCL's, which may also be this process's own."""


class Team:
    """The processes that train one model, seen from one of them. Alone, it costs nothing.

    Whatever one of them calls, all must call, in the same order.
    """

    def __init__(self, rank: int = 0, size: int = 1, device: torch.device | None = None) -> None:
        """`rank` of this process, from 0 on, of `size`; `device`: where it computes, where there are several."""
        self.rank = rank
        self.size = size
        self.device = device
        self.has_sent = False
        self.is_over = False
        """Whether rank 0 has ended without a plan."""

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a scalar over all processes, on its device."""
        if self.size == 1:
            return value
        total = value.clone()
        dist.all_reduce(total)
        return total / self.size

    def agree(self, value: int) -> int:
        """What rank 0 has for `value`: clocks and signals differ, but all must do the same."""
        if self.size == 1:
            return value
        agreed = torch.tensor([value])
        self._broadcast(agreed, None)
        return int(agreed)

    def share(self, load: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """What `load` gives in rank 0, on the CPU: the others need not see the disk that it reads."""
        if self.size == 1:
            return load()
        written = io.BytesIO()
        if self.rank == 0:
            torch.save(load(), written)
        shared = self.broadcast(written.getvalue() if self.rank == 0 else None)
        return dict(torch.load(io.BytesIO(shared), map_location="cpu", weights_only=True))

    def gather(self, value: Any) -> list[Any]:
        """In rank 0 the values of all, by rank, on the CPU; elsewhere nothing. Tensors and plain values only."""
        if self.size == 1:
            return [value]
        written = io.BytesIO()
        torch.save(value, written)
        parts: list[Any] = [None] * self.size if self.rank == 0 else []
        dist.gather_object(written.getvalue(), parts or None)
        return [torch.load(io.BytesIO(part), map_location="cpu", weights_only=True) for part in parts]

    def send(self, data: bytes | None) -> bytes:
        """Give all what rank 0 has for `data`, the plan, as bytes; the others, which have None, wait for it for days.

        They get nothing (`b""`) where rank 0 has ended without one: it was refused, or there was nothing left to do.
        """
        if self.is_over:
            return b""
        self.has_sent = True
        return self.broadcast(data)

    def broadcast(self, data: bytes | None) -> bytes:
        """What rank 0 has for `data`; the others, which have None, wait for it for days."""
        if self.size == 1:
            return data or b""
        length = torch.tensor([len(data or b"")])
        self._broadcast(length, PATIENCE if self.rank else None if data else TIME_TO_PART)
        if not int(length):
            return b""
        content = torch.frombuffer(bytearray(data or int(length)), dtype=torch.uint8)
        self._broadcast(content, None)
        return content.numpy().tobytes()

    def _broadcast(self, tensor: Tensor, patience: timedelta | None) -> None:
        """From rank 0, in place, on the CPU; with `patience` other than that of the whole group."""
        options = dist.BroadcastOptions()
        options.rootRank = 0
        if patience is not None:
            options.timeout = patience
        group = dist.group.WORLD
        assert group is not None
        group.broadcast([tensor], options).wait()


ALONE = Team()


def loss_of_another(error: BaseException | None) -> str | None:
    """What `error` says of another process that cannot be reached; None: it is of this process's own."""
    lost = isinstance(error, (dist.DistNetworkError, dist.DistStoreError)) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS_OF_A_LOSS)
    )
    if not lost:
        return None
    line = next(iter(str(error).splitlines()), "")
    return re.sub(r"^\[\S+\] ", "", line).split(". ")[0][:200]  # without the place in gloo's source, and its advice


class TeamEnvironment(LightningEnvironment):
    """Tells Lightning that all processes of a team are there already: each sees one device, its own."""

    def __init__(self, team: Team) -> None:
        super().__init__()
        self._team = team

    @property
    def creates_processes_externally(self) -> bool:
        """Lightning's own launcher would run the user's command once more in each process."""
        return True

    def world_size(self) -> int:
        """Processes."""
        return self._team.size

    def set_world_size(self, size: int) -> None:
        """It is known."""

    def global_rank(self) -> int:
        """Of this process."""
        return self._team.rank

    def set_global_rank(self, rank: int) -> None:
        """It is known."""

    def local_rank(self) -> int:
        """Among the devices that Lightning is told of in this process: there is one."""
        return 0

    def teardown(self) -> None:
        """Lightning would take a launcher's variables out of the environment."""
