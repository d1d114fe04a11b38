"""What happens between Hydra's composing a configuration and its making the run directory."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lstm_lm.cli import sweep_plan
from lstm_lm.cli.hydra_app import Refused
from lstm_lm.cli.plain_config import plain_config
from lstm_lm.cli.quoting import quote_text
from lstm_lm.cli.submitted import wait_for_all
from lstm_lm.errors import UserError
from lstm_lm.runs.atomic import write_error
from lstm_lm.runs.directory import make_writable

_DEVICE_CHOICE = re.compile(r"[+~]*(device|trainer|experiment)\b")
"""Overrides that may change where a job runs."""


class RefuseEarly(Callback):
    """Checks what can be checked before anything is written; Hydra makes this from `conf/hydra/default.yaml`."""

    def __init__(self) -> None:
        self._made: list[Path] = []

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Note which folders Hydra will make for a single run."""
        with _refusing():
            config.hydra.run.dir = os.path.expanduser(str(config.hydra.run.dir))  # a file's: of a typed one it is done
            folder = Path(config.hydra.run.dir)
            try:
                self._made = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
                folder.mkdir(parents=True, exist_ok=True)
            except (OSError, ValueError) as error:  # ValueError: no file system can hold such a path
                cause = error if isinstance(error, OSError) else OSError(0, str(error))
                raise UserError(str(write_error(folder, cause))) from error

    def on_run_end(self, config: DictConfig, **_: Any) -> None:  # noqa: ARG002  (Hydra names it)
        """Leave no folder of a run that was refused; whatever lies there is a run's."""
        for folder in self._made:
            with suppress(OSError):  # something is in it
                folder.rmdir()

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Compose every job of a sweep, and make the sweep's directory; the jobs check themselves, one by one."""
        with _refusing():
            jobs = sweep_plan.plan_jobs(config)
            _refuse_several_devices(config, jobs)
            config.hydra.sweep.dir = sweep_dir = os.path.expanduser(str(config.hydra.sweep.dir))
            make_writable(Path(sweep_dir), "hydra.sweep.dir")
            plan = sweep_plan.SweepPlan(jobs, Path(sweep_dir), str(config.hydra.runtime.choices["hydra/launcher"]))
            if plan.launcher.startswith("submitit"):
                wait_for_all()
            # The jobs' configurations are composed from these once more, perhaps in other processes.
            config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quote_text(sweep_dir)}")
            if len(jobs) > 1:
                excluded = {*plan.shared, *config.hydra.job.config.override_dirname.exclude_keys}
                keys = ",".join(quote_text(key) for key in sorted(excluded))
                config.hydra.overrides.hydra.append(f"hydra.job.config.override_dirname.exclude_keys=[{keys}]")
            sweep_plan.CURRENT.set(plan)


def _refuse_several_devices(config: DictConfig, jobs: Sequence[Sequence[str]]) -> None:
    """A sweep's jobs share one process, and that one cannot lead other processes again and again.

    Raises:
        UserError: a job, or what all jobs start from, asks for several devices.
    """
    loader = GlobalHydra.instance().config_loader()
    choices = {tuple(filter(_DEVICE_CHOICE.match, job)) for job in jobs} or {()}
    for overrides in sorted(choices):
        if _asks_for_several(loader.load_sweep_config(config, list(overrides))):
            raise UserError(
                "device=ddp (several devices) does not work with -m: a sweep's jobs share one process\n"
                "sweep on one device (device=auto, cpu or gpu), or run the jobs one after the other, without -m"
            )


def _asks_for_several(config: DictConfig) -> bool:
    from lstm_lm.training.processes.devices import asks_for_several

    with suppress(OmegaConfBaseException):  # a configuration that cannot be resolved is its own job's to tell
        return asks_for_several(
            plain_config(OmegaConf.create({key: config.trainer[key] for key in ("devices", "strategy")}))
        )
    return False


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise Refused(error) from error
