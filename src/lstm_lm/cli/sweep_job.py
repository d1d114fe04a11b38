"""A sweep's job, as Hydra hands it over, becomes a row and is run as `train` would run it, in a process of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lstm_lm.cli import same_again
from lstm_lm.cli.hydra.errors import explain
from lstm_lm.cli.hydra.free_text import FREE_TEXT
from lstm_lm.cli.hydra.kept_keys import job_config
from lstm_lm.cli.hydra.resolvers import key_of
from lstm_lm.cli.sweep_lines import SweepLines
from lstm_lm.cli.sweep_plan import CURRENT, as_typed
from lstm_lm.data.text_paths import STANDARD_INPUT
from lstm_lm.errors import Interrupted, RunError, UserError
from lstm_lm.heavy_imports import heavy_imports
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.summary import read_if_whole
from lstm_lm.stop_signals import warning_signal

if TYPE_CHECKING:
    from lstm_lm.sweeps.inputs import InputDigests

STARTS = ("init_from", "ckpt_path")
"""Keys that say where a run starts, and that resuming does without."""

_OF_THE_SWEEP = (
    *("hydra.sweep", "hydra.run.", "hydra.mode", "hydra.job.config"),
    *("hydra/launcher", "hydra.launcher", "hydra/sweeper", "hydra.sweeper"),
)
"""Hydra's keys that are not handed on to a job's own process."""


def run_job(config: DictConfig, directory: Path, attempt: str, flags: Sequence[str], lines: SweepLines) -> None:
    """Run the job that `config` describes, unless it is done; what becomes of it is recorded beside its run.

    A job that fails ends nothing.

    Args:
        config: composed for this job.
        directory: where Hydra would have it run.
        attempt: what all jobs of this sweep's command have in common.
        flags: of Hydra, that the sweep's command line has: `["--config-dir", "mine"]`.
        lines: reports it.

    Raises:
        Interrupted: a signal asked it to end, and so the sweep.
        RunError: its record cannot be written.
    """
    with heavy_imports():  # which --cfg does without
        from lstm_lm.sweeps import sweep
        from lstm_lm.sweeps.fresh_process import Ended
        from lstm_lm.sweeps.inputs import OF_THE_RUN, InputDigests
        from lstm_lm.sweeps.machine import machine
        from lstm_lm.sweeps.rows import Row, row_key
        from lstm_lm.sweeps.runner import TRAIN, Job, Runner
        from lstm_lm.sweeps.stopping import StopRequest

    hydra, plan = HydraConfig.get(), CURRENT.get()
    overrides = [str(line) for line in hydra.overrides.task]
    # In other processes there is no plan; they know what the jobs' names leave out.
    shared = plan.shared if plan else list(hydra.job.config.override_dirname.exclude_keys)
    telling = [as_typed(line) for line in overrides if key_of(line) not in shared] or [*map(as_typed, overrides)]
    number = int(hydra.job.num) + 1
    if plan and number == 1:  # by other launchers jobs run beside each other, and soon tell themselves
        lines.foresee(plan.wrong(), len(plan.jobs))
    lines.begin(number, len(plan.jobs) if plan else 0, telling)

    digests = plan.inputs if plan else InputDigests(strict=True)
    plain, inputs, texts, refusal = _checked(config, overrides, digests)
    seed = plain["seed"] if isinstance(plain.get("seed"), int) else None
    settings = {key_of(line): line.partition("=")[2] for line in telling}
    row = Row("", {}, settings, seed or 0, row_key(plain, inputs), plain, inputs=inputs)

    asked = any(key_of(line) == "resume" for line in overrides)
    # Then a person says what becomes of a run that is there.
    named = asked or plain.get("ckpt_path") in OF_THE_RUN
    if not named and refusal is None:
        directory, others = sweep.place(row, directory)
        if others:
            lines.say(*others, f"this job is in {directory}")
    resume = _resume(plain, directory, asked=asked)
    arguments = [*flags, *_typed(config, overrides), *texts, f"hydra.run.dir={directory}", f"resume={resume}"]
    if not named and not RunDirectory(directory).is_empty():  # it is this row's, which is behind where it started
        arguments += [f"{key}=null" for key in STARTS if plain.get(key) is not None]
    job = Job(row, number, seed, directory, {TRAIN: [TRAIN, *arguments]})
    done = not named and refusal is None and not job.to_do()
    if done:
        lines.say("complete, nothing left to do")
    elif refusal is None and (changed := row.changed()):
        refusal = RunError(changed)
    with StopRequest() as stop:
        runner = Runner(stop, "resume", machine(), attempt, cwd=Path(hydra.runtime.cwd))
        known = None if refusal is None else Ended("failed", str(refusal), 0.0, refusal.exit_status)
        record = runner.run(job, again=named, known=known)
        stop.check()
    if refusal is None and not done:
        lines.end(read_if_whole(job.run.summary), well=record.status == "completed")
    if record.status == "failed":
        lines.fail(record.reason or "")
    if record.status == "interrupted":  # its process alone was asked
        raise Interrupted(int(record.stages[TRAIN].exit_status or 0) - 128)


def _checked(
    config: DictConfig, overrides: Sequence[str], digests: "InputDigests"
) -> tuple[dict[str, Any], Mapping[str, str], list[str], UserError | None]:
    """A job's plain configuration, digests of what it reads, overrides for that, and why it is refused, if it is.

    What is refused here costs no process.
    """
    from lstm_lm.training.config import TrainConfig

    plain: dict[str, Any] = {}
    texts: list[str] = []
    try:
        plain = job_config(config)
        texts = _standard_input(plain)
        TrainConfig.parse(plain)
        return plain, digests.of(plain), texts, None
    except UserError as error:
        return plain, {}, texts, error
    except (OmegaConfBaseException, OSError) as error:
        refusal = explain(error, "train", overrides) or UserError(f"{type(error).__name__}: {error}")
        return plain, {}, texts, refusal


def _resume(config: dict[str, Any], directory: Path, *, asked: bool) -> str:
    """The value of `resume=` for the job's own process, given what its directory holds."""
    if RunDirectory(directory).is_empty():  # there, `auto` is for SLURM alone: the command is queued again
        comes_back = warning_signal() is not None and same_again.finds_its_sweep_again()
        if not comes_back or any(config.get(key) is not None for key in STARTS):
            return "never"
    resume = str(config.get("resume", "never"))
    return "auto" if resume == "never" and not asked else resume


def _typed(config: DictConfig, overrides: Sequence[str]) -> list[str]:
    """The overrides of the job's own process, as a person would type them."""
    free = FREE_TEXT["train"]
    lines = [line for line in overrides if key_of(line) != "resume"]
    lines += [line for line in same_again.hydras_overrides() if not key_of(line).startswith(_OF_THE_SWEEP)]
    if "job.num" in OmegaConf.to_yaml(config):  # which a run by itself has not
        lines.append(f"hydra.job.num={HydraConfig.get().job.num}")
    return [as_typed(line) if key_of(line) in free else line for line in lines]


def _standard_input(config: dict[str, Any]) -> list[str]:
    """Put a copy in the place of standard input, which all jobs read and no other process has; gives the overrides.

    Raises:
        UserError: nothing is piped in.
    """
    data = config.get("data")
    keys = [key for key, value in data.items() if value == STANDARD_INPUT] if isinstance(data, dict) else []
    if not keys:
        return []
    from lstm_lm.data.cache_folder import cache_folder
    from lstm_lm.data.text_paths import text_at

    assert isinstance(data, dict)
    cache = cache_folder(data["cache_dir"])
    for key in keys:
        data[key] = str(text_at(STANDARD_INPUT, data["encoding"], cache, f"data.{key}").paths[0])
    return [f"data.{key}={data[key]}" for key in keys]
