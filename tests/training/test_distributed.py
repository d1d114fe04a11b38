"""Two processes on the CPU compute what one computes; one of them owns the run; none is left, however it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from lstm_lm.training.distributed import Team, asks_for_several, local_devices

import lstm_lm
from lstm_lm.errors import RunError, UserError
from lstm_lm.runs import checkpoint_file, metrics_file, summary
from lstm_lm.runs.directory import RunDirectory

Config = Callable[..., dict[str, Any]]

ROOT = Path(__file__).resolve().parents[2]
TWO = ("device=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data.batch_size=2")
"""Two processes that have, together, the four streams of the one process that `small_config` means."""
DROPOUTS = ("model.num_layers=2", "model.dropout=0.3")


@pytest.fixture(autouse=True)
def no_child_left() -> Iterator[None]:
    """Whatever a test does, its processes are gone when it ends."""
    before = set(psutil.Process().children(recursive=True))
    yield
    assert not set(psutil.Process().children(recursive=True)) - before
    assert not torch.distributed.is_initialized()


def column(run: Path, name: str) -> dict[int, float]:
    rows = metrics_file.read(run / "metrics.csv")
    return {int(row["step"]): row[name] for row in rows if name in row}


def last(run: Path) -> dict[str, Any]:
    return checkpoint_file.load(run / "checkpoints" / "last.ckpt")


@pytest.mark.parametrize("unit", ["window", "line"])
def test_two_processes_train_as_one_does(unit: str, small_config: Config, tmp_path: Path) -> None:
    text = ("data.test_fraction=0.1", "trainer.max_epochs=2", f"data.unit={unit}")
    one = lstm_lm.train(small_config(*text), tmp_path / "one")
    two = lstm_lm.train(small_config(*text, *TWO), tmp_path / "two")
    assert two.train.steps == one.train.steps
    for name in ("train/loss", "train/gradient_norm", "train/learning_rate", "val/loss", "test/loss"):
        assert column(tmp_path / "two", name) == pytest.approx(column(tmp_path / "one", name), abs=1e-5), name
    weights = last(tmp_path / "two")["state_dict"]
    for name, tensor in last(tmp_path / "one")["state_dict"].items():
        torch.testing.assert_close(weights[name], tensor, atol=1e-5, rtol=0)
    assert one.val is not None
    assert two.val is not None
    assert two.val.loss == pytest.approx(one.val.loss, abs=1e-5)


def test_a_checkpoint_holds_the_state_of_every_process(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=5"), tmp_path / "one")
    lstm_lm.train(small_config("trainer.max_steps=5", *TWO), tmp_path / "two")
    (h_alone, _), *_ = last(tmp_path / "one")["lstm_lm"]["stream_state"]
    saved = last(tmp_path / "two")["lstm_lm"]
    [other] = saved["other_processes"]
    (h_first, _), *_ = saved["stream_state"]
    (h_second, _), *_ = other["stream_state"]
    torch.testing.assert_close(torch.cat([h_first, h_second]), h_alone, atol=1e-5, rtol=0)


def test_dropout_differs_between_processes(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=2", *DROPOUTS, *TWO), tmp_path / "run")
    saved = last(tmp_path / "run")["lstm_lm"]
    first, second = saved["generators"]["masks"], saved["other_processes"][0]["generators"]["masks"]
    assert second["seed"] == first["seed"] + 1
    assert not torch.equal(first["bits"], second["bits"])


def test_a_resumed_run_takes_the_very_same_steps(small_config: Config, tmp_path: Path) -> None:
    settings = (*DROPOUTS, *TWO, "trainer.max_epochs=2", "scheduler=constant", "callbacks.samples.length=0")
    lstm_lm.train(small_config(*settings, "trainer.max_steps=60"), tmp_path / "whole")
    lstm_lm.train(small_config(*settings, "trainer.max_steps=25"), tmp_path / "parts")
    lstm_lm.train(small_config(*settings, "trainer.max_steps=60", "resume=auto"), tmp_path / "parts")
    assert column(tmp_path / "parts", "train/loss") == column(tmp_path / "whole", "train/loss")
    weights = last(tmp_path / "parts")["state_dict"]
    for name, tensor in last(tmp_path / "whole")["state_dict"].items():
        assert torch.equal(weights[name], tensor), name


def test_an_average_is_that_of_one_process_and_resumes_exactly(small_config: Config, tmp_path: Path) -> None:
    average = ("averaging=ema", "averaging.decay=0.9", "scheduler=constant", "trainer.max_steps=12")
    one = lstm_lm.train(small_config(*average), tmp_path / "one")
    two = lstm_lm.train(small_config(*average, *TWO), tmp_path / "two")
    assert one.val is not None
    assert two.val is not None
    assert two.val.loss == pytest.approx(one.val.loss, abs=1e-5)
    lstm_lm.train(small_config(*average, *TWO, "trainer.max_steps=5"), tmp_path / "parts")
    lstm_lm.train(small_config(*average, *TWO, "resume=auto"), tmp_path / "parts")
    ours, theirs = (last(tmp_path / name)["lstm_lm"]["averaging"] for name in ("parts", "two"))
    torch.testing.assert_close(ours["weights"], theirs["weights"], rtol=0, atol=0)
    assert ours["count"] == theirs["count"] == 12


def test_another_number_of_processes_cannot_resume(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=2"), tmp_path / "run")
    with pytest.raises(UserError, match=r"1 process, and this would be 2 processes\nset trainer.devices=1"):
        lstm_lm.train(small_config(*TWO, "data.batch_size=4", "resume=auto"), tmp_path / "run")


def test_gradients_of_several_windows_are_accumulated(small_config: Config, tmp_path: Path) -> None:
    settings = ("trainer.accumulate_grad_batches=2", "trainer.max_steps=6")
    lstm_lm.train(small_config(*settings), tmp_path / "one")
    lstm_lm.train(small_config(*settings, *TWO), tmp_path / "two")
    expected = column(tmp_path / "one", "train/loss")
    assert column(tmp_path / "two", "train/loss") == pytest.approx(expected, abs=1e-5)


def test_early_stopping_and_the_time_limit_are_decided_for_all(small_config: Config, tmp_path: Path) -> None:
    stopping = ("callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=10.0")
    early = lstm_lm.train(small_config(*TWO, *stopping, "trainer.max_epochs=50"), tmp_path / "early")
    assert (early.status, early.train.epochs) == ("stopped", 2)
    clock = ("trainer.max_time='00:00:00:01'", "callbacks.checkpoint.every_n_minutes=0.002")
    late = lstm_lm.train(small_config(*TWO, *clock, "trainer.max_epochs=100000"), tmp_path / "late")
    assert late.status == "stopped"
    assert (tmp_path / "late" / "checkpoints" / "last.ckpt").exists()


def test_one_device_needs_no_other_process(small_config: Config, tmp_path: Path) -> None:
    config = small_config("device=ddp", "trainer.accelerator=cpu", "trainer.max_steps=2")
    assert local_devices(config["trainer"], "cpu") == [torch.device("cpu")]
    lstm_lm.train(config, tmp_path / "run")
    assert last(tmp_path / "run")["lstm_lm"]["other_processes"] == []


@pytest.mark.parametrize(
    ("device_keys", "several"),
    [
        ({"devices": 1, "strategy": "auto"}, False),
        ({"devices": "auto", "strategy": "auto"}, False),
        ({"devices": [3], "strategy": "auto"}, False),
        ({"devices": "auto", "strategy": "ddp"}, True),
        ({"devices": 2, "strategy": "auto"}, True),
        ({"devices": -1, "strategy": "auto"}, True),
        ({"devices": [0, 2], "strategy": "auto"}, True),
    ],
)
def test_what_asks_for_several_devices(device_keys: dict[str, Any], several: bool) -> None:
    assert asks_for_several(device_keys) == several


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("trainer.strategy=fsdp", "trainer.strategy=fsdp: several devices work together with device=ddp"),
        ("trainer.strategy=ddp_spawn", "trainer.strategy=ddp_spawn"),
        ("trainer.num_nodes=2", "trainer.num_nodes=2"),
        ("trainer.devices=x", "trainer.devices=x"),
        ("data.batch_size=200", "400 streams"),
    ],
)
def test_what_cannot_be_is_refused_once(
    typed: str, told: str, small_config: Config, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError) as caught:
        lstm_lm.train(small_config(*TWO, typed), tmp_path / "run")
    assert told in str(caught.value)
    assert capfd.readouterr().err == "", "the other processes have nothing to say"


def test_a_process_that_is_lost_ends_the_run_with_a_message(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lstm_lm.training.callbacks.checkpoints import Checkpoints

    def write_last_and_kill(self: Checkpoints, trainer: Any, write: Any = Checkpoints.write_last) -> None:
        write(self, trainer)
        for child in psutil.Process().children():
            child.kill()

    monkeypatch.setattr(Checkpoints, "write_last", write_last_and_kill)
    with pytest.raises(RunError, match=r"process 1 of 2, counted from 0, was ended by signal 9\n.*resume=auto"):
        lstm_lm.train(small_config(*TWO, "callbacks.checkpoint.every_n_steps=3"), tmp_path / "run")
    assert summary.read(tmp_path / "run" / "summary.json").status == "failed"
    assert last(tmp_path / "run")["global_step"] == 3


def test_what_the_first_process_sends_is_not_waited_for_long() -> None:
    """To one that is killed at that moment gloo may go on sending until its patience ends: by default half an hour."""

    class Control:
        def broadcast(self, tensors: list[torch.Tensor], options: Any) -> Any:
            asked.append((options.rootRank, options.timeout))
            return self

        def wait(self) -> None:
            pass

    asked: list[tuple[int, timedelta]] = []
    team = Team(0, 2)
    team._control = Control()  # type: ignore[assignment]
    assert team.decide(7) == 7
    [(root, patience)] = asked
    assert root == 0
    assert timedelta(0) < patience <= timedelta(minutes=1)


class Command:
    """`python train.py` with two processes, in a folder of its own."""

    def __init__(self, folder: Path, text: Path, *typed: str) -> None:
        self.run = RunDirectory(folder / "run")
        settings = ["data=text", f"data.path={text}", f"data.cache_dir={folder / 'cache'}", "data.seq_len=16"]
        settings += [
            "model.hidden_size=8",
            "model.embedding_size=4",
            "precision=32-true",
            "trainer.log_every_n_steps=1",
        ]
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *TWO, *settings, *typed],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, path: Path) -> list[psutil.Process]:
        """Wait until `path` is there; gives the processes that the command has started."""
        deadline = time.monotonic() + 60
        while not path.exists() and time.monotonic() < deadline and self.process.poll() is None:
            time.sleep(0.02)
        assert path.exists(), self.process.communicate()
        return psutil.Process(self.process.pid).children()


def test_the_command_has_one_directory_and_one_voice(small_file: Path, tmp_path: Path) -> None:
    command = Command(tmp_path, small_file, "trainer.max_epochs=1", "trainer.max_steps=3")
    out, err = command.process.communicate(timeout=100)
    assert (command.process.returncode, err) == (0, "")
    assert out.count("completed after 3 steps") == 1
    [folder] = (tmp_path / "outputs").iterdir()
    run = RunDirectory(folder)
    done = json.loads(run.summary.read_text())
    assert (done["status"], done["train"]["steps"]) == ("completed", 3)
    assert done["command"].startswith("python train.py device=ddp ")
    assert len(list(run.tensorboard.glob("*tfevents*"))) == 1
    assert [row["step"] for row in metrics_file.read(run.metrics)] == [1, 2, 3]


@pytest.mark.posix
@pytest.mark.parametrize("everyone", [False, True], ids=["the first process", "all processes"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_with_a_checkpoint(
    number: signal.Signals, status: int, everyone: bool, small_file: Path, tmp_path: Path
) -> None:
    command = Command(tmp_path, small_file, "hydra.run.dir=run", "trainer.max_epochs=-1", "scheduler=constant")
    others = command.wait_for(command.run.metrics)
    assert len(others) == 1
    for process in [*others, command.process] if everyone else [command.process]:
        process.send_signal(number)
    _, err = command.process.communicate(timeout=60)
    assert (command.process.returncode, err) == (status, "")
    assert not others[0].is_running()
    assert summary.read(command.run.summary).status == "interrupted"
    step = last(command.run.path)["global_step"]
    assert step == max(column(command.run.path, "train/loss")), "it was written where training stopped"


def test_the_others_end_with_a_first_process_that_is_killed(small_file: Path, tmp_path: Path) -> None:
    command = Command(tmp_path, small_file, "hydra.run.dir=run", "trainer.max_epochs=-1", "scheduler=constant")
    others = command.wait_for(command.run.metrics)
    command.process.kill()
    command.process.communicate(timeout=60)
    gone, alive = psutil.wait_procs(others, timeout=20)
    assert gone
    assert not alive
