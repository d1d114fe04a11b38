"""The command on two processes of this machine: started by itself, by torchrun or, as far as it can see, by SLURM."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from lstm_lm.runs import checkpoint_file, metrics_file
from lstm_lm.runs.directory import RunDirectory

ROOT = Path(__file__).resolve().parents[3]
TRAIN = ROOT / "train.py"
TWO = ("device=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data.batch_size=2")
"""Two processes that have, together, the four streams of the one process that `small_config` means."""
TYPED = (
    "data=text",
    "data.batch_size=2",
    "data.seq_len=16",
    "data.eval_batch_size=2",
    "data.eval_context=8",
    "model.embedding_size=8",
    "model.hidden_size=16",
    "model.num_layers=1",
    "model.dropout=0.1",
    "callbacks.samples.length=0",
    "precision=32-true",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
    "runtime.threads=1",
)
UNDISTURBED = ("model.dropout=0", "data.test_fraction=0.1", "trainer.max_epochs=1")
"""What the run that others are compared with is trained by, besides `TYPED` and `TWO`."""
TOGETHER = ("device=ddp", "trainer.accelerator=cpu", "hydra.run.dir=run", "resume=auto")
SECONDS = 500
"""For a command to end, on a machine that is busy."""


def column(run: Path, name: str) -> dict[int, float]:
    """What was recorded under `name`, by step."""
    rows = metrics_file.read(run / "metrics.csv")
    return {int(row["step"]): row[name] for row in rows if name in row}


def last(run: Path) -> dict[str, Any]:
    return checkpoint_file.load(run / "checkpoints" / "last.ckpt")


def own_workers() -> list[psutil.Process]:
    """The processes that this one has launched, by rank."""
    started: dict[int, psutil.Process] = {}
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error, KeyError):  # it has just ended, or is none of them
            started[int(child.environ()["RANK"])] = child
    return [started[rank] for rank in sorted(started)]


@contextmanager
def once(condition: Callable[[], bool], happens: Callable[[threading.Event], object]) -> Iterator[None]:
    """Have it happen as soon as `condition` holds, while the block runs; what either raises is raised after the block.

    `happens` is given what is set when the block has ended.
    """
    over = threading.Event()

    def look() -> None:
        while not condition():
            if over.wait(0.02):
                return
        if not over.is_set():
            happens(over)

    with ThreadPoolExecutor(1) as thread:
        looking = thread.submit(look)
        try:
            yield
        finally:
            over.set()
            looking.result()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Command:
    """`python train.py device=ddp ...` with two processes, in a folder of its own."""

    def __init__(self, folder: Path, text: Path, *typed: str, script: Path = TRAIN, together: bool = True) -> None:
        self.run = RunDirectory(folder / "run")
        (folder / "tmp").mkdir(exist_ok=True)
        settings = [*TYPED, f"data.path={text}", f"data.cache_dir={folder / 'cache'}", *typed]
        self.process = subprocess.Popen(
            [sys.executable, str(script), *(TWO if together else ()), *settings],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(folder / "tmp")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, path: Path) -> list[psutil.Process]:
        """Wait until `path` is there; gives the processes that the command has started, by rank."""
        deadline = time.monotonic() + SECONDS
        while not path.exists() and time.monotonic() < deadline and self.process.poll() is None:
            time.sleep(0.02)
        if not path.exists():
            self.process.kill()
            raise AssertionError(self.process.communicate())
        workers = psutil.Process(self.process.pid).children()
        return sorted(workers, key=lambda worker: int(worker.environ()["RANK"]))


class Cluster:
    """Starts train.py, or a script like it, as srun and torchrun do: two processes that train in `run`."""

    def __init__(self, folder: Path, text: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.run = folder / "run"
        self.typed = [*TYPED, f"data.path={text}", f"data.cache_dir={folder / 'cache'}"]
        self.environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        self._started: list[subprocess.Popen[str]] = []

    def srun(self, *typed: str, script: Path = TRAIN) -> list[tuple[int, str]]:
        """What srun does: each task with its number in the environment. Gives each one's status and words."""
        step = {"JOB_ID": "42", "JOB_NAME": "train", "STEP_ID": "0", "NTASKS": "2", "NODELIST": "none"}
        shared = {f"SLURM_{name}": value for name, value in step.items()} | {"MASTER_PORT": str(free_port())}
        shared["SLURM_STEP_NODELIST"] = "127.0.0.1"
        for rank in ("0", "1"):
            mine = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank}
            self.start([sys.executable, str(script)], *typed, **shared, **mine)
        return [self.end_of(task) for task in self._started[-2:]]

    def torchrun(self, *typed: str, script: Path = TRAIN, options: tuple[str, ...] = ()) -> tuple[int, str]:
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}"]
        return self.end_of(self.start([*command, *options, str(script)], *typed))

    def start(self, command: list[str], *typed: str, **more: str) -> subprocess.Popen[str]:
        """In the background."""
        self._started.append(
            subprocess.Popen(
                [*command, *self.typed, *TOGETHER, *typed],
                cwd=self.folder,
                env=self.environment | more,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return self._started[-1]

    def end_of(self, task: subprocess.Popen[str]) -> tuple[int, str]:
        words = task.communicate(timeout=SECONDS)[0]
        return task.returncode, words

    def end(self) -> None:
        """Leave nothing behind."""
        for task in self._started:
            task.kill()
            task.wait()
