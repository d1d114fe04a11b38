"""Where processes that torchrun or SLURM has started meet: torch.distributed's store, at the address that those give.

It is there from the first process's first moment to its last.
"""

import os
import sys
import threading
from datetime import timedelta
from typing import Any, NamedTuple

import torch.distributed as dist
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch.distributed.rendezvous import rendezvous

from lstm_lm.errors import RunError, UserError
from lstm_lm.training.distributed import LIBUV

SECONDS_TO_MEET = 300.0
"""For the slowest to start and import, from a disk that all of them read at once."""
_HERE = "here"
_FIRST_PORT = 15_000


class Membership(NamedTuple):
    """This process among those that were started together."""

    rank: int
    size: int
    local_rank: int
    """Among those of this machine."""
    own_devices: bool
    """Whether the launcher shows each process its own devices only."""


def membership() -> Membership | None:
    """Who this process is; None: it was started alone."""
    names = os.environ
    found: Membership | None = None
    if TorchElasticEnvironment.detect():
        found = Membership(int(names["RANK"]), int(names["WORLD_SIZE"]), int(names["LOCAL_RANK"]), own_devices=False)
    elif "SLURM_STEP_ID" in names and SLURMEnvironment.detect():
        tasks = int(names.get("SLURM_STEP_NUM_TASKS", names["SLURM_NTASKS"]))
        found = Membership(int(names["SLURM_PROCID"]), tasks, int(names["SLURM_LOCALID"]), own_devices=True)
    return found if found is not None and found.size > 1 else None


_STORES: list[Any] = []
"""This process's store: there is one address, and it can be hosted once."""


def is_met() -> bool:
    """Whether this process has been there."""
    return bool(_STORES)


def meeting_place(member: Membership) -> Any:
    """The store at which all processes meet; the leader hosts it (or torchrun does).

    Raises:
        UserError: the leader cannot listen at its address.
        RunError: nobody is there.
    """
    if _STORES:
        return _STORES[0]
    try:
        store = store_of(_job(), _open_store(member))
    except dist.DistError as error:
        if member.rank > 0 or "failed to listen" not in str(error):
            raise RunError(_nobody_there(member)) from error
        raise UserError(
            f"port {_address()[1]}: process 0 cannot listen there for the others ({_reason(error)})\n"
            "export another one, the same for all processes: MASTER_PORT=29501, say"
        ) from error
    if member.rank == 0:
        store.set(_HERE, "")
    _STORES.append(store)
    return store


def _open_store(member: Membership) -> Any:
    timeout = timedelta(seconds=SECONDS_TO_MEET)
    if TorchElasticEnvironment.detect():
        store, _, _ = next(rendezvous("env://", timeout=timeout))
        return store
    return dist.TCPStore(  # type: ignore[attr-defined]
        *_address(),
        member.size,
        is_master=member.rank == 0,
        wait_for_workers=False,
        timeout=timeout,
        use_libuv=LIBUV,
    )


def _address() -> tuple[str, int]:
    """Where the meeting place is: torchrun tells, or the user, or SLURM's names for this step and its job."""
    names = os.environ
    nodes = names.get("SLURM_STEP_NODELIST") or names.get("SLURM_NODELIST", "")
    host = names.get("MASTER_ADDR") or SLURMEnvironment.resolve_root_node_address(nodes)
    return host, int(names.get("MASTER_PORT") or _FIRST_PORT + int(names["SLURM_JOB_ID"][-4:]))


def _job() -> str:
    """Another job may have the same port: process 0 of that one is not to be followed."""
    return "/".join(["lstm_lm", *(os.environ.get(name, "") for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))])


def _reason(error: BaseException) -> str:
    return str(error).splitlines()[0].rpartition("message: ")[2]


def _nobody_there(member: Membership) -> str:
    host, port = _address()
    return (
        f"process {member.rank} of {member.size}, counted from 0: process 0 is not at {host}:{port}\n"
        "either it has failed, and says why, or MASTER_ADDR and MASTER_PORT are not what all can reach"
    )


def store_of(name: str, store: Any) -> Any:
    """What is said below `name`, in a store of its own."""
    return dist.PrefixStore(name, store)  # type: ignore[attr-defined]


def meet_the_leader(member: Membership) -> Any:
    """The store, once the leader is there."""

    def give_up() -> None:
        print(f"error: {_nobody_there(member)}", file=sys.stderr, flush=True)
        os._exit(RunError.exit_status)

    # Torch's own patience ends sooner, but not with a stranger at that port who never answers.
    watch = threading.Timer(2 * SECONDS_TO_MEET, give_up)
    watch.daemon = True
    watch.start()
    try:
        store = meeting_place(member)
    finally:
        watch.cancel()
    try:
        store.wait([_HERE], timedelta(seconds=SECONDS_TO_MEET))
    except dist.DistError as error:  # it has gone again, or the store is another job's
        raise RunError(_nobody_there(member)) from error
    return store
