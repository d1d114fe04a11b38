"""SLURM's warning that a job's time is nearly up: save, and queue the job again.

`sbatch --signal=SIGUSR1@120` sends SIGUSR1 two minutes before the end. With `resume=auto` and a `hydra.run.dir` that
the user has named, the same command then continues the run; a sweep does with a `hydra.sweep.dir`.
"""

import os
import subprocess

from lstm_lm.errors import Interrupted
from lstm_lm.stop_signals import warning_signal

SECONDS_TO_ANSWER = 30.0


def is_asked_for(error: BaseException) -> bool:
    """Whether a run ended because its SLURM job is about to."""
    return isinstance(error, Interrupted) and error.signal_number == warning_signal()


def requeue(*, resumable: bool) -> str:
    """Queue this process's job again, if it then continues this run (`resumable`); returns the line that says so."""
    job = _job()
    if not resumable:
        return (
            f"SLURM job {job} is not queued again: it would not continue this run\n"
            "start it with resume=auto and hydra.run.dir=DIR (a sweep: with hydra.sweep.dir=DIR)"
        )
    try:
        answer = subprocess.run(
            ["scontrol", "requeue", job], capture_output=True, text=True, timeout=SECONDS_TO_ANSWER, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"SLURM job {job} could not be queued again: {error}"
    if answer.returncode:
        return f"SLURM job {job} could not be queued again: {answer.stderr.strip() or answer.stdout.strip()}"
    return f"SLURM job {job} is queued again"


def _job() -> str:
    """The job's name for `scontrol`: a task of an array goes by array and number."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return os.environ["SLURM_JOB_ID"] if array is None or task is None else f"{array}_{task}"
