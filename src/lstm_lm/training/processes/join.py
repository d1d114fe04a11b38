"""How processes that were started together meet, in torch.distributed, and part.

with meet():                            # a command, from its first moment to its last
    with join(trainer) as team:         # a run; rank 0 has the `trainer` section, the others hear of it
        plan = team.send(...)
"""

import json
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import torch
import torch.distributed as dist

from lstm_lm.errors import RunError, UserError
from lstm_lm.training.processes.devices import asks_for_several, device_of
from lstm_lm.training.processes.started import Started, address, started
from lstm_lm.training.processes.team import ALONE, Team, loss_of_another

SECONDS_TO_MEET = 300.0
"""For the slowest to start and import, from a disk that all of them read at once."""
SECONDS_OF_SILENCE = 3.0
"""When all fail for one reason, rank 0 says so, and ends the others before they would."""
LIBUV = os.name == "posix"
"""PyTorch's packages for Windows (not tried) are built without it, and refuse a store that they are not told so of."""
_TEAM: list[Team] = []
"""Within `meet`: those whom this process has met."""


class Lost(RunError):
    """Another process has ended, or cannot be reached. It may have said why; this one cannot know."""


@contextmanager
def meet() -> Iterator[None]:
    """Meet the others, where this process was started with others. At the end, let go those who still wait for a plan.

    Raises:
        UserError: rank 0 cannot listen at the address at which they are to meet.
        RunError: not all of them come.
    """
    process = started()
    if process is None:
        yield
        return
    if process.rank:  # rank 0 says the same, and shows the same warnings
        warnings.simplefilter("ignore")
        logging.getLogger("lstm_lm").setLevel(logging.ERROR)
    team = Team(process.rank, process.size)
    # The CPU's messages (decisions, plans) go through gloo, and wait for no GPU.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    dist.init_process_group(backend, store=_agreed_store(process), rank=team.rank, world_size=team.size)
    _TEAM.append(team)
    try:
        yield
    finally:
        _TEAM.clear()
        with suppress(RuntimeError):  # some have gone already
            if team.rank == 0 and not team.has_sent:
                team.send(b"")
            dist.destroy_process_group()


def check(trainer: Mapping[str, Any]) -> None:
    """Refuse a `trainer` section that those who were started together cannot train by.

    Raises:
        UserError: it means one process; or they were started in a way in which they cannot meet.
    """
    process = started()
    if process is None:
        return
    if not asks_for_several(trainer):
        raise UserError(
            f"{process.size} processes were started together, and each would train the same run\n"
            "have them train one run with device=ddp, or start one process"
        )
    if not _TEAM:
        raise UserError(
            "torchrun and srun start the command (python train.py, lstm-lm train), not a script of your own"
        )


@contextmanager
def join(trainer: Mapping[str, Any] | None) -> Iterator[Team]:
    """The team of a run: those whom this process has met, each with its device; ALONE where there are none.

    Args:
        trainer: the `trainer` section in rank 0; None elsewhere.

    Raises:
        UserError: as `check`; a process has no device.
        RunError: another process was lost.
    """
    if trainer is not None:
        check(trainer)
    process = started()
    if process is None:
        yield ALONE
        return
    [team] = _TEAM
    try:
        _take_devices(team, process, trainer)
        yield team
    except BaseException as error:
        if team.rank and isinstance(error, Exception):
            time.sleep(SECONDS_OF_SILENCE)
        loss = loss_of_another(error)
        if loss is not None and team.rank:
            raise Lost(f"process {team.rank}: another process has ended, or cannot be reached ({loss})") from error
        if loss is not None:
            raise Lost(
                f"a process of {team.size} has ended, or cannot be reached ({loss})\n"
                "where it could, it says why above\n"
                "so training stopped; continue from the last checkpoint with resume=auto and this hydra.run.dir"
            ) from error
        if team.rank and isinstance(error, UserError):
            raise type(error)(f"process {team.rank}: {error}") from error
        raise


def _take_devices(team: Team, process: Started, trainer: Mapping[str, Any] | None) -> None:
    sent = team.broadcast(None if trainer is None else json.dumps(dict(trainer)).encode())
    if not sent:
        team.is_over = True
        return
    problem = ""
    try:
        team.device = device_of(process, json.loads(sent))
        if team.device.type == "cuda":
            torch.cuda.set_device(team.device)
    except UserError as error:
        problem = str(error)
    for rank, other in enumerate(team.gather(problem)):
        if other:
            raise UserError(f"process {rank}: {other}" if rank else other)


def _agreed_store(process: Started) -> Any:
    """torch.distributed's store, below a name that is new, so that nothing in it is of an earlier start.

    torchrun keeps its store when it starts all again. So each of the others leaves a new name of its own, and hears
    below that one where to go on.
    """
    store = dist.PrefixStore(_job(), _open_store(process))  # type: ignore[attr-defined]
    if process.rank > 0:
        return dist.PrefixStore(_name_from_rank_0(store, process), store)  # type: ignore[attr-defined]
    name = uuid4().hex
    absent = set(range(1, process.size))
    deadline = time.monotonic() + SECONDS_TO_MEET
    while absent:
        for rank in list(absent):
            if store.check([f"arrived/{rank}"]):
                store.set(store.get(f"arrived/{rank}").decode(), name)
            if store.check([f"{name}/{rank}"]):
                absent.remove(rank)
        if absent and time.monotonic() > deadline:
            raise RunError(
                f"process {min(absent)} of {process.size}, counted from 0, has not come for {SECONDS_TO_MEET:.0f} s\n"
                "where it says nothing above, it was killed (for want of memory?), or never started"
            )
        time.sleep(0.02)  # here, where a signal is heard, and not in the store
    return dist.PrefixStore(name, store)  # type: ignore[attr-defined]


def _name_from_rank_0(store: Any, process: Started) -> str:
    mine = uuid4().hex
    store.set(f"arrived/{process.rank}", mine)
    try:
        store.wait([mine], timedelta(seconds=SECONDS_TO_MEET))
        name: str = store.get(mine).decode()
        store.set(f"{name}/{process.rank}", "")
    except dist.DistError as error:  # it has gone again, or the store is another job's
        raise RunError(_nobody_there(process)) from error
    return name


def _open_store(process: Started) -> Any:
    """An agent hosts the store; under SLURM, rank 0 does."""
    hosts = process.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != str(True)
    # Torch's own patience does not end with a stranger at that port who never answers.
    watch = threading.Timer(2 * SECONDS_TO_MEET, _give_up, [process])
    watch.daemon = True
    watch.start()
    try:
        return dist.TCPStore(  # type: ignore[attr-defined]
            *address(),
            process.size,
            is_master=hosts,
            wait_for_workers=False,
            timeout=timedelta(seconds=SECONDS_TO_MEET),
            use_libuv=LIBUV,
        )
    except dist.DistError as error:
        if not hosts or "failed to listen" not in str(error):
            raise RunError(_nobody_there(process)) from error
        reason = str(error).splitlines()[0].rpartition("message: ")[2]
        raise UserError(
            f"port {address()[1]}: process 0 cannot listen there for the others ({reason})\n"
            "export another one, the same for all processes: MASTER_PORT=29501, say"
        ) from error
    finally:
        watch.cancel()


def _job() -> str:
    """Another job may have the same port: process 0 of that one is not to be followed."""
    return "/".join(["lstm_lm", *(os.environ.get(name, "") for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))])


def _nobody_there(process: Started) -> str:
    host, port = address()
    return (
        f"process {process.rank} of {process.size}, counted from 0: process 0 is not at {host}:{port}\n"
        "either it has failed, and says why, or MASTER_ADDR and MASTER_PORT are not what all can reach"
    )


def _give_up(process: Started) -> None:
    print(f"error: {_nobody_there(process)}", file=sys.stderr, flush=True)
    os._exit(RunError.exit_status)
