"""Whether this process is one of several that were started together: by `launch`, by torchrun, or by SLURM's srun."""

import os
from typing import NamedTuple

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

_FIRST_PORT = 15_000


class Started(NamedTuple):
    """This process among those that were started together."""

    rank: int
    """From 0 on."""
    size: int
    """More than one."""
    local_rank: int
    """Among those of this machine."""
    own_devices: bool
    """Whether the launcher may show each process its own devices only."""


def started() -> Started | None:
    """Who this process is; None: it was started alone."""
    names = os.environ
    found: Started | None = None
    if has_agent():
        found = Started(int(names["RANK"]), int(names["WORLD_SIZE"]), int(names["LOCAL_RANK"]), own_devices=False)
    elif "SLURM_STEP_ID" in names and SLURMEnvironment.detect():
        # without a step this is the batch script, which is alone
        tasks = int(names.get("SLURM_STEP_NUM_TASKS", names["SLURM_NTASKS"]))
        found = Started(int(names["SLURM_PROCID"]), tasks, int(names["SLURM_LOCALID"]), own_devices=True)
    return found if found is not None and found.size > 1 else None


def has_agent() -> bool:
    """Whether an elastic agent (`launch`'s or torchrun's) has started this process, and ends it if it must.

    It passes signals on, so that this process may get one twice: from whoever sent it to all, and from the agent.
    """
    return TorchElasticEnvironment.detect()


def address() -> tuple[str, int]:
    """Host and port at which they meet: torchrun says, or the user, or SLURM's names for this step and its job."""
    names = os.environ
    nodes = names.get("SLURM_STEP_NODELIST") or names.get("SLURM_NODELIST", "")
    host = names.get("MASTER_ADDR") or SLURMEnvironment.resolve_root_node_address(nodes)
    return host, int(names.get("MASTER_PORT") or _FIRST_PORT + int(names["SLURM_JOB_ID"][-4:]))
