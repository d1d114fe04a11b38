"""Jobs that submitit has submitted: its launcher gives up all of them at the first that is lost; here it waits."""

from typing import Any

from hydra.core.utils import JobReturn, JobStatus


def wait_for_all() -> None:
    """From now on, in this process, a job that is lost hands back nothing, and the launcher waits for the others too.

    What became of each is in its record (see `sweeps.records`). Without submitit, this does nothing: Hydra
    says then that there is no such launcher.
    """
    try:
        from submitit import Job
        from submitit.core.utils import FailedJobError, UncompletedJobError
    except ImportError:
        return
    whole = Job.results
    if whole.__module__ == __name__:  # once is enough
        return

    def results(job: Job[Any]) -> list[Any]:
        try:
            return whole(job)
        except (FailedJobError, UncompletedJobError):
            return [JobReturn(status=JobStatus.COMPLETED)]

    Job.results = results  # type: ignore[assignment, method-assign]
