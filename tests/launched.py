"""The command, started by torchrun or, as far as it can see, by SLURM's srun."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TRAIN = ROOT / "train.py"
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
    "resume=auto",
)
TOGETHER = ("device=ddp", "trainer.accelerator=cpu", "hydra.run.dir=run")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


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
        words = task.communicate(timeout=100)[0]
        return task.returncode, words

    def end(self) -> None:
        """Leave nothing behind."""
        for task in self._started:
            task.kill()
            task.wait()
