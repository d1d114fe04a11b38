"""Several devices: which they are, and what their processes tell each other.

One process a device, Lightning's DDP strategy and torch.distributed between them. Process 0, the leader, alone owns the
run directory and the terminal. On one machine it starts the others (`followers.py`); on several, torchrun or SLURM has
(`cluster.py`). They train along and leave nothing (`follower.py`). What every process does, in the same order, is in
`together.py`.
"""

import io
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.accelerators import Accelerator, CPUAccelerator, CUDAAccelerator, MPSAccelerator
from torch import Tensor

from lstm_lm.errors import UserError

ADDRESS = "127.0.0.1"
STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true")
_ACCELERATORS: dict[str, type[Accelerator]] = {"cpu": CPUAccelerator, "cuda": CUDAAccelerator, "mps": MPSAccelerator}

SENDING_TAKES_LESS_THAN = timedelta(seconds=30)
"""What one process sends waits at the other, whatever that is doing."""
LIBUV = os.name == "posix"
"""PyTorch's packages for Windows (not tried) are built without it, and refuse a store that they are not told so of."""
_WORDS_OF_A_LOSS = (
    "gloo/transport/",
    "ncclRemoteError",
    "ncclSystemError",
    "NCCL communicator was aborted",
    "Watchdog caught collective operation timeout",
)
"""Of gloo's errors, which are plain RuntimeErrors, and of NCCL's, which may also be this process's own."""


class Team:
    """The processes that train one model, seen from one of them. Alone, it costs nothing."""

    def __init__(self, rank: int = 0, size: int = 1, device: torch.device | None = None) -> None:
        """`rank` of this process, from 0 on, of `size`; `device`, where somebody else has started them: its own."""
        self.rank = rank
        self.size = size
        self.device = device
        self._control: dist.ProcessGroup | None = None

    @property
    def connected(self) -> bool:
        """Whether they have met."""
        return self._control is not None

    def connect(self, store: Any, device: torch.device) -> None:
        """Meet the others, who do the same, through `store` (see `meeting_place`); returns once all are there."""
        on_gpu = device.type == "cuda"
        if on_gpu:
            torch.cuda.set_device(device)
        dist.init_process_group(
            "nccl" if on_gpu else "gloo",
            store=store,
            rank=self.rank,
            world_size=self.size,
            device_id=device if on_gpu else None,
        )
        self._control = dist.new_group(backend="gloo")  # decisions are made on the CPU: no GPU is waited for

    def disconnect(self) -> None:
        """Leave; does nothing before `connect`."""
        if self._control is not None:
            self._control = None
            dist.destroy_process_group()

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a scalar over all processes, on its device."""
        if self.size == 1:
            return value
        total = value.clone()
        dist.all_reduce(total)
        return total / self.size

    def decide(self, value: int) -> int:
        """What process 0 has for `value`: clocks and signals differ, but all must do the same."""
        if self.size == 1:
            return value
        assert self._control is not None
        decided = torch.tensor([value])
        options = dist.BroadcastOptions()
        options.rootRank = 0
        if self.rank == 0:  # to one that dies at this very moment gloo goes on sending, for half an hour
            options.timeout = SENDING_TAKES_LESS_THAN
        self._control.broadcast([decided], options).wait()
        return int(decided)

    def gather(self, value: Any) -> list[Any]:
        """In process 0 the values of all, by rank, on the CPU; elsewhere nothing. Tensors and plain values only."""
        if self.size == 1:
            return [value]
        written = io.BytesIO()
        torch.save(value, written)
        mine = torch.frombuffer(bytearray(written.getvalue()), dtype=torch.uint8)
        lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        dist.all_gather(lengths, torch.tensor([len(mine)]), group=self._control)
        padded = torch.zeros(int(max(lengths)), dtype=torch.uint8)
        padded[: len(mine)] = mine
        parts = [torch.empty_like(padded) for _ in range(self.size)] if self.rank == 0 else None
        dist.gather(padded, parts, dst=0, group=self._control)
        return [
            torch.load(io.BytesIO(part[: int(length)].numpy().tobytes()), map_location="cpu", weights_only=True)
            for part, length in zip(parts or [], lengths, strict=False)
        ]


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


def meeting_place(team: Team, port: int | None) -> Any:
    """Where the processes of `team` find each other; `port` None: a new one, the leader's, on a free port (`.port`)."""
    return dist.TCPStore(  # type: ignore[attr-defined]
        ADDRESS, port or 0, team.size, is_master=port is None, wait_for_workers=False, use_libuv=LIBUV
    )


class AlreadyThere(ClusterEnvironment):
    """Tells Lightning that its processes are there already, and which of them this is: each with one device."""

    def __init__(self, team: Team) -> None:
        super().__init__()
        self._team = team

    @property
    def creates_processes_externally(self) -> bool:
        """Lightning's own way would run the user's command once more in each process."""
        return True

    @property
    def main_address(self) -> str:
        """Not asked for: the processes are connected before Lightning would connect them."""
        raise NotImplementedError

    @property
    def main_port(self) -> int:
        """Nor is this."""
        raise NotImplementedError

    @staticmethod
    def detect() -> bool:
        """It is never found, always given."""
        return False

    def world_size(self) -> int:
        """Processes."""
        return self._team.size

    def set_world_size(self, size: int) -> None:
        """It is known."""

    def global_rank(self) -> int:
        """This process."""
        return self._team.rank

    def set_global_rank(self, rank: int) -> None:
        """It is known."""

    def local_rank(self) -> int:
        """Of the devices that Lightning is told of in this process: there is one."""
        return 0

    def node_rank(self) -> int:
        """Lightning makes nothing of it here."""
        return 0


def asks_for_several(trainer: Mapping[str, Any]) -> bool:
    """Whether the `trainer` section may mean several processes, on whatever machine."""
    devices = trainer["devices"]
    if isinstance(devices, list):
        devices = len(devices)
    return str(trainer["strategy"]).startswith("ddp") or str(devices) not in ("auto", "0", "1")


def local_devices(trainer: Mapping[str, Any], accelerator: str) -> list[torch.device]:
    """The devices that a `trainer` section that `asks_for_several` means on this machine, one a process.

    Args:
        trainer: the section.
        accelerator: cpu, cuda or mps: what `trainer.accelerator` has been found to mean.

    Raises:
        UserError: there are fewer, or they cannot work together in the way that is asked for.
    """
    asked, kind = trainer["devices"], _ACCELERATORS[accelerator]
    try:
        parsed = kind.parse_devices(kind.auto_device_count() if asked == "auto" else asked)
        found = [torch.device(device) for device in kind.get_parallel_devices(parsed)]
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise UserError(f"trainer.devices={asked}: {' '.join(str(error).split())[:300]}") from error
    if len(found) > 1 and trainer["strategy"] not in STRATEGIES:
        raise UserError(f"trainer.strategy={trainer['strategy']}: several devices work together with device=ddp")
    return found


def device_of(team: Team, trainer: Mapping[str, Any], accelerator: str) -> torch.device:
    """Where this process of `team` computes.

    Raises:
        UserError: as `local_devices`.
    """
    return team.device or local_devices(trainer, accelerator)[team.rank]
