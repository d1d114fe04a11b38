"""Processes that somebody else has started, on one machine or many: by torchrun, or by SLURM's srun.

Each runs the user's command. Process 0 leads, as on a single machine: it alone composes a run directory, reads the
terminal's word and writes. The others wait, before they look at any configuration, for what it tells them to train.
They meet at the address that torchrun or SLURM gives them, in torch.distributed's own store. That is there from the
leader's first moment to its last, so that whatever becomes of the leader, nobody waits for it in vain.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import torch

from lstm_lm import hardware
from lstm_lm.errors import RunError, UserError
from lstm_lm.training.distributed import ALONE, Team, asks_for_several, local_devices, loss_of_another
from lstm_lm.training.meeting_place import Membership, is_met, meet_the_leader, meeting_place, membership, store_of

PATIENCE = timedelta(days=2)
"""Of the others while the leader reads the text, which may be long; its end ends their waiting."""
SECONDS_TO_HEAR = 60.0
SECONDS_BETWEEN_SIGNS = 5.0
SECONDS_OF_NO_SIGN = 300.0
"""A process that is alive gives signs of it, but for a long call that lets no other thread run."""
_CAME = "came"
"""By rank: a name for this start of it. What is said between it and the leader is said below that name: torchrun starts
all again and keeps its store, with all that was said before."""
_ORDER = "order"
_HEARD = "heard"
"""How often it has given a sign of life since it heard the order."""
_READY = "ready"
_NOTHING = "null"


def lead(trainer: Mapping[str, Any]) -> Team:
    """The team that the `trainer` section asks for, with this process as its first.

    Raises:
        UserError: as `local_devices`, and as `hardware.find_device`; others were started, and are not asked for, or
            not by the command.
    """
    started = membership()
    if not asks_for_several(trainer):
        if started is not None:
            raise UserError(
                f"{started.size} processes were started together, and each would train the same run\n"
                "have them train one run with device=ddp, or start one process"
            )
        return ALONE
    accelerator = hardware.resolve(trainer).accelerator
    if started is None:
        return Team(0, len(local_devices(trainer, accelerator)))
    if not is_met():  # the command would have met the others before anything else
        raise UserError(
            "torchrun and srun start the command (python train.py, lstm-lm train), not a script of your own"
        )
    return team_of(started, trainer, accelerator)


def team_of(member: Membership, trainer: Mapping[str, Any], accelerator: str) -> Team:
    """All of them, seen from `member`, and its device.

    Raises:
        UserError: this machine has no device for it.
    """
    here = local_devices(trainer, accelerator)
    place = 0 if accelerator == "cpu" or (member.own_devices and len(here) == 1) else member.local_rank
    if place >= len(here):
        raise UserError(
            f"process {place + 1} of this machine has no device: trainer.devices={trainer['devices']} is {len(here)}\n"
            "start as many processes on a machine as it has devices"
        )
    return Team(member.rank, member.size, device=here[place])


class Others:
    """The leader's side of processes that are there already; as a context, for the length of a run."""

    def __init__(self, team: Team) -> None:
        self._team = team

    def __enter__(self) -> Self:
        """They wait already."""
        return self

    def join(self, task: dict[str, Any], device: torch.device) -> None:
        """Have them train `task`, and connect; `device` is the leader's.

        Raises:
            RunError: one of them has failed, and has said why, or is not to be heard of.
        """
        member = membership()
        assert member is not None
        store = meeting_place(member)
        start = uuid4().hex
        order = json.dumps({**task, "start": start})
        waiting: dict[int, tuple[object, float]] = {
            rank: (None, time.monotonic()) for rank in range(1, self._team.size)
        }
        while waiting:
            time.sleep(0.05)  # here, where a signal is heard, and not in the store
            for rank, (before, since) in list(waiting.items()):
                now, which = time.monotonic(), f"process {rank} of {self._team.size}, counted from 0"
                name = _tell(store, rank, order)
                if name is not None and store.check([f"{name}/{_READY}"]):
                    problem = store.get(f"{name}/{_READY}").decode()
                    if problem:
                        raise RunError(f"{which}: {problem}")
                    del waiting[rank]
                elif (sign := None if name is None else (name, _signs(store, name))) != before:
                    waiting[rank] = sign, now
                elif now - since > SECONDS_OF_NO_SIGN:
                    happened = "has not come" if name is None else "has shown no life"
                    raise RunError(
                        f"{which}, {happened} for {SECONDS_OF_NO_SIGN:.0f} seconds\n"
                        "where it says nothing above, it was killed (for want of memory?), or never started"
                    )
        self._team.connect(store_of(start, store), device)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """They see by their connections that the run has ended; torchrun and srun end what is left.

        Raises:
            RunError: the run failed because one of them did.
        """
        loss = loss_of_another(error)
        with suppress(RuntimeError):
            self._team.disconnect()
        if loss is not None:
            raise RunError(
                f"a process of {self._team.size} has ended, or cannot be reached ({loss})\n"
                "where it could, it says why above\n"
                "so training stopped; continue from the last checkpoint with resume=auto and this hydra.run.dir"
            ) from error


def dismiss(member: Membership) -> None:
    """The leader's last word where nothing was to be trained; returns when the others have heard it."""
    store = meeting_place(member)
    with suppress(RuntimeError):
        deadline = time.monotonic() + SECONDS_TO_HEAR
        waiting = set() if _TOLD else set(range(1, member.size))
        while waiting and time.monotonic() < deadline:
            names = {rank: _tell(store, rank, _NOTHING) for rank in waiting}
            waiting -= {rank for rank, name in names.items() if name is not None and _signs(store, name)}
            time.sleep(0.05)


_TOLD: set[str] = set()
"""Of the leader: the names of those who have their order."""


def _tell(store: Any, rank: int, order: str) -> str | None:
    """Give process `rank` its order, once; gives its name, or None: it has not come."""
    key = f"{_CAME}/{rank}"
    if not store.check([key]):
        return None
    name: str = store.get(key).decode()
    if name not in _TOLD:
        if store.check([f"{name}/{_ORDER}"]):
            return None  # from another: it was there before all were started again
        store.set(f"{name}/{_ORDER}", order)
        _TOLD.add(name)
    return name


def follow_along(member: Membership) -> int:
    """What processes 1, 2, ... do: wait for the leader's order, and train along; gives the exit status.

    Raises:
        RunError: the leader is not there.
    """
    from lstm_lm.training.follower import train_along

    store = meet_the_leader(member)
    name = uuid4().hex
    mine = store_of(name, store)
    try:
        store.set(f"{_CAME}/{member.rank}", name)
        mine.wait([_ORDER], PATIENCE)
        order: dict[str, Any] | None = json.loads(mine.get(_ORDER))
        mine.add(_HEARD, 1)
    except RuntimeError:  # its host has gone: the leader has failed, and has said why
        return 1
    if order is None:
        return 0
    ready = threading.Event()
    threading.Thread(target=_show_life, args=(mine, ready), daemon=True).start()

    def tell_ready() -> None:
        ready.set()
        mine.set(_READY, "")

    try:
        trainer = order["config"]["trainer"]
        team = team_of(member, trainer, hardware.resolve(trainer).accelerator)
    except UserError as error:
        mine.set(_READY, str(error).splitlines()[0])
        return 1
    status = train_along(order, team, tell_ready, lambda: store_of(order["start"], store))
    if status:
        with suppress(RuntimeError):
            if not ready.is_set():
                mine.set(_READY, "ended before training began; it says why above")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # at once: so the others see by its connections that it is gone
    return status


def _show_life(mine: Any, ready: threading.Event) -> None:
    with suppress(RuntimeError):  # the leader has gone, which the main thread sees too
        while not ready.wait(SECONDS_BETWEEN_SIGNS):
            mine.add(_HEARD, 1)


def _signs(store: Any, name: str) -> int:
    key = f"{name}/{_HEARD}"
    return int(store.get(key)) if store.check([key]) else 0
