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
from lstm_lm.runs.directory import RunDirectory, make_writable
from lstm_lm.runs.footprint import Footprint
from lstm_lm.runs.lock import is_held

_DEVICE_CHOICE = re.compile(r"[+~]*(device|trainer|experiment)\b")
"""Overrides that may change where a job runs."""


class RefuseEarly(Callback):
    """Checks what can be checked before anything is written; Hydra makes this from `conf/hydra/default.yaml`."""

    def __init__(self) -> None:
        self._footprint: Footprint | None = None

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Check configuration and run directory of a single run, and make the directory."""
        from lstm_lm.training.config import TrainConfig  # seconds of imports, which --help and --cfg do without
        from lstm_lm.training.resume import refuse_early

        with _refusing():
            plain = plain_config(config)
            TrainConfig.parse(plain)
            config.hydra.run.dir = os.path.expanduser(str(config.hydra.run.dir))  # a file's: of a typed one it is done
            run_dir = Path(config.hydra.run.dir)
            refuse_early(plain, run_dir)
            self._footprint = Footprint(RunDirectory(run_dir))
            try:
                self._footprint.run.create()
            except BaseException:
                self._footprint.erase()
                raise

    def on_run_end(self, config: DictConfig, **_: Any) -> None:  # noqa: ARG002  (Hydra names it)
        """Leave nothing of a run that was refused later: of the directory, and of the record in it."""
        if self._footprint is None or is_held(self._footprint.run.path):  # another trains there: all of it is its own
            return
        if self._footprint.untouched():
            self._footprint.erase()

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
    from lstm_lm.training.distributed import asks_for_several

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
