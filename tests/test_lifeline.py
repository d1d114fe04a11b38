"""Whatever ends a process ends those that it started, with what those have started."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tiers import first

from lstm_lm import process_group

SLEEPS = "import time; time.sleep(60)"
PARENT = """
import os, subprocess, sys, time
from lstm_lm.lifeline import TIED
child = subprocess.Popen(
    [sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE, process_group=0, env=os.environ | TIED
)
time.sleep(60)
"""
CHILD = f"""
import os, subprocess, sys, time
from lstm_lm import lifeline
lifeline.tie_if_asked()
assert sys.stdin.read() == "", "it is no input"
assert not set(lifeline.TIED) & set(os.environ), "those that it starts have other pipes"
same_group = subprocess.Popen([sys.executable, "-c", {SLEEPS!r}])
print(os.getpid(), same_group.pid, flush=True)
while True: pass  # busy, as a training is
"""


def ended(pids: list[int], seconds: float = 20.0) -> bool:
    """Whether they end in time; what does not is ended here."""
    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    for process in alive:
        process.kill()
    return not alive


@pytest.mark.posix
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_ends_with_its_parent_and_takes_its_group_with_it(how: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.send_signal(how)
    assert ended(pids)


def test_a_process_that_nobody_ties_reads_its_input() -> None:
    code = "import sys; from lstm_lm import lifeline; lifeline.tie_if_asked(); print(sys.stdin.read())"
    done = subprocess.run([sys.executable, "-c", code], input="text", capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["text"]


@pytest.mark.posix
def test_a_family_is_ended_across_groups() -> None:
    """As a row's workers are, each in a session of its own."""
    code = (
        "import subprocess, sys, time\n"
        f"apart = subprocess.Popen([sys.executable, '-c', {SLEEPS!r}], start_new_session=True)\n"
        "print(apart.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, process_group=0) as child:
        assert child.stdout is not None
        apart = int(child.stdout.readline())
        process_group.end_family(child)
    assert ended([child.pid, apart])


@pytest.mark.posix
@pytest.mark.parametrize("processes", first([1, 2]))
def test_a_studys_row_and_its_workers_end_with_a_study_that_is_killed(
    processes: int, tmp_path: Path, small_file: Path
) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from lstm_lm.sweeps.fresh_process import run\n"
        "from lstm_lm.sweeps.stopping import StopRequest\n"
        "with StopRequest() as stop: run(sys.argv[1:], Path('log'), 600, stop)"
    )
    typed = ["data=text", f"data.path={small_file}", "data.cache_dir=cache", "hydra.run.dir=run"]
    typed += ["model.hidden_size=8", "data.batch_size=4"]
    typed += ["data.seq_len=8", "device=ddp", "trainer.accelerator=cpu", f"trainer.devices={processes}"]
    typed += ["trainer.max_epochs=-1", "scheduler=constant", "runtime.threads=1", "trainer.log_every_n_steps=1"]
    with subprocess.Popen([sys.executable, "-c", script, "train", *typed], cwd=tmp_path) as study:
        deadline = time.monotonic() + 500  # on a machine that is busy
        while not (tmp_path / "run" / "metrics.csv").exists():
            assert study.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        started = psutil.Process(study.pid).children(recursive=True)
        study.kill()
    assert len(started) >= (1 if processes == 1 else 3), "the row, and its two workers"
    assert ended([process.pid for process in started])
