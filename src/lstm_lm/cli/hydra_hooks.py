"""What happens between Hydra's composing a configuration and its making the run directory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from lstm_lm.cli import sweep_plan
from lstm_lm.cli.hydra.app import Refused
from lstm_lm.cli.hydra.free_text import quote_text
from lstm_lm.cli.submitted import wait_for_all
from lstm_lm.errors import UserError
from lstm_lm.runs.atomic import write_error
from lstm_lm.runs.directory import make_writable


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
            except (OSError, ValueError) as error:
                raise UserError(str(write_error(folder, error))) from error

    def on_run_end(self, config: DictConfig, **_: Any) -> None:  # noqa: ARG002  (Hydra names it)
        """Leave no folder of a run that was refused; whatever lies there is a run's."""
        for folder in self._made:
            with suppress(OSError):  # something is in it
                folder.rmdir()

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Compose every job of a sweep, and make the sweep's directory; the jobs check themselves, one by one."""
        with _refusing():
            subdir = str(OmegaConf.to_container(config.hydra.sweep, resolve=False)["subdir"])  # type: ignore[index,call-overload]
            if Path(subdir).is_absolute() or ".." in Path(subdir).parts or not Path(subdir).parts:
                raise UserError(f"hydra.sweep.subdir={subdir}: names no folder of its own below hydra.sweep.dir")
            jobs, configs = sweep_plan.plan_jobs(config)
            config.hydra.sweep.dir = sweep_dir = os.path.expanduser(str(config.hydra.sweep.dir))
            make_writable(Path(sweep_dir), "hydra.sweep.dir")
            launcher = str(config.hydra.runtime.choices["hydra/launcher"])
            plan = sweep_plan.SweepPlan(jobs, configs, Path(sweep_dir), launcher)
            if plan.launcher.startswith("submitit"):
                wait_for_all()
            # The jobs' configurations are composed from these once more, perhaps in other processes.
            config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quote_text(sweep_dir)}")
            if len(jobs) > 1:
                excluded = {*plan.shared, *config.hydra.job.config.override_dirname.exclude_keys}
                keys = ",".join(quote_text(key) for key in sorted(excluded))
                config.hydra.overrides.hydra.append(f"hydra.job.config.override_dirname.exclude_keys=[{keys}]")
            sweep_plan.CURRENT.set(plan)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise Refused(error) from error
