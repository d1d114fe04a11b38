"""Processes that the project starts on this machine: they compute what one computes, and one of them owns the run."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from jobs_in_process import as_in_a_process
from launched import SECONDS, TWO, TYPED, UNDISTURBED, Command, column, last

import lstm_lm
from lstm_lm.cli.main import main
from lstm_lm.errors import UserError
from lstm_lm.runs import metrics_file, summary
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.summary import Summary
from lstm_lm.sweeps import fresh_process

Config = Callable[..., dict[str, Any]]

DROPOUTS = ("model.num_layers=2", "model.dropout=0.3")
NAMES = ("train/loss", "train/gradient_norm", "train/learning_rate", "val/loss", "test/loss")


@pytest.fixture(autouse=True)
def no_child_left() -> Iterator[None]:
    """Whatever a test does, its processes are gone when it ends."""
    before = set(psutil.Process().children(recursive=True))
    yield
    assert not set(psutil.Process().children(recursive=True)) - before


def check_same(two: Path, one: Path) -> None:
    """They have taken the same steps, but for rounding."""
    assert column(two, "train/loss").keys() == column(one, "train/loss").keys()
    for name in NAMES:
        assert column(two, name) == pytest.approx(column(one, name), abs=1e-5), name
    weights = last(two)["state_dict"]
    for name, tensor in last(one)["state_dict"].items():
        torch.testing.assert_close(weights[name], tensor, atol=1e-5, rtol=0)
    losses = [summary.read(run / "summary.json").val for run in (one, two)]
    assert losses[0] is not None
    assert losses[1] is not None
    assert losses[1].loss == pytest.approx(losses[0].loss, abs=1e-5)


def test_two_processes_train_as_one_does(undisturbed: Path, text: Path, tmp_path: Path) -> None:
    alone = ("device=cpu", "data.batch_size=4", f"data.path={text}", f"data.cache_dir={tmp_path / 'cache'}")
    lstm_lm.train(lstm_lm.compose(*TYPED, *UNDISTURBED, *alone), tmp_path / "one")
    check_same(undisturbed, tmp_path / "one")
    # each process's hidden state is in the checkpoint: together they are the one's
    (h_alone, _), *_ = last(tmp_path / "one")["lstm_lm"]["hidden"]
    saved = last(undisturbed)["lstm_lm"]
    [other] = saved["other_processes"]
    (h_first, _), *_ = saved["hidden"]
    (h_second, _), *_ = other["hidden"]
    torch.testing.assert_close(torch.cat([h_first, h_second]), h_alone, atol=1e-5, rtol=0)


@pytest.mark.matrix
@pytest.mark.parametrize("unit", ["line", "document"])
def test_two_processes_train_on_units_as_one_does(unit: str, small_config: Config, tmp_path: Path) -> None:
    """Nothing is carried from one to the next, and what was read beside padding is nothing."""
    of_units = ("data.test_fraction=0.1", f"data.unit={unit}", *(["data.separator=a"] if unit == "document" else []))
    lstm_lm.train(small_config(*of_units), tmp_path / "one")
    lstm_lm.train(small_config(*of_units, *TWO), tmp_path / "two")
    check_same(tmp_path / "two", tmp_path / "one")


@pytest.mark.matrix
def test_a_resumed_run_takes_the_very_same_steps_and_dropout_differs_between_processes(
    small_config: Config, tmp_path: Path
) -> None:
    settings = (*DROPOUTS, *TWO, "trainer.max_epochs=2", "scheduler=constant", "callbacks.samples.length=0")
    lstm_lm.train(small_config(*settings, "trainer.max_steps=60"), tmp_path / "whole")
    lstm_lm.train(small_config(*settings, "trainer.max_steps=25"), tmp_path / "parts")
    lstm_lm.train(small_config(*settings, "trainer.max_steps=60", "resume=auto"), tmp_path / "parts")
    assert column(tmp_path / "parts", "train/loss") == column(tmp_path / "whole", "train/loss")
    weights = last(tmp_path / "parts")["state_dict"]
    for name, tensor in last(tmp_path / "whole")["state_dict"].items():
        assert torch.equal(weights[name], tensor), name
    saved = last(tmp_path / "parts")["lstm_lm"]
    first, second = saved["generators"]["masks"], saved["other_processes"][0]["generators"]["masks"]
    assert second["seed"] == first["seed"] + 1
    assert not torch.equal(first["bits"], second["bits"])


@pytest.mark.matrix
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


@pytest.mark.matrix
def test_all_processes_start_from_the_vocabulary_that_has_grown(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=2"), tmp_path / "origin")
    (tmp_path / "new.txt").write_text("the cät sat on a mät. " * 100, encoding="utf-8")

    def tuned(*overrides: str) -> dict[str, Any]:
        config = small_config("data.unknown=extend", "trainer.max_steps=6", *overrides)
        text = config["data"] | {"path": str(tmp_path / "new.txt")}
        return config | {"init_from": str(tmp_path / "origin"), "data": text}

    one = lstm_lm.train(tuned(), tmp_path / "one")
    two = lstm_lm.train(tuned(*TWO), tmp_path / "two")
    assert one.data.added_tokens == two.data.added_tokens == ["ä"]
    assert column(tmp_path / "two", "train/loss") == pytest.approx(column(tmp_path / "one", "train/loss"), abs=1e-5)


def test_another_number_of_processes_cannot_resume(undisturbed: Path, text: Path) -> None:
    alone = ("device=cpu", "resume=auto", f"data.path={text}", "trainer.max_epochs=2")
    with pytest.raises(UserError, match=r"2 processes, and this would be 1 process\nset trainer.devices=2"):
        lstm_lm.train(lstm_lm.compose(*TYPED, *UNDISTURBED, *alone), undisturbed)


@pytest.mark.matrix
def test_nor_can_more(small_config: Config, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Rank 0 sees it, once the processes have met; the launcher has it said once."""
    lstm_lm.train(small_config("trainer.max_steps=2"), tmp_path / "run")
    with pytest.raises(UserError, match=r"1 process, and this would be 2 processes\nset trainer.devices=1"):
        lstm_lm.train(small_config(*TWO, "data.batch_size=4", "resume=auto"), tmp_path / "run")
    assert capfd.readouterr().err == ""


@pytest.mark.matrix
def test_gradients_of_several_windows_are_accumulated(small_config: Config, tmp_path: Path) -> None:
    settings = ("trainer.accumulate_grad_batches=2", "trainer.max_steps=6")
    lstm_lm.train(small_config(*settings), tmp_path / "one")
    lstm_lm.train(small_config(*settings, *TWO), tmp_path / "two")
    expected = column(tmp_path / "one", "train/loss")
    assert column(tmp_path / "two", "train/loss") == pytest.approx(expected, abs=1e-5)


@pytest.mark.matrix
def test_early_stopping_and_the_time_limit_are_decided_for_all(small_config: Config, tmp_path: Path) -> None:
    stopping = ("callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=10.0")
    early = lstm_lm.train(small_config(*TWO, *stopping, "trainer.max_epochs=50"), tmp_path / "early")
    assert (early.status, early.train.epochs) == ("stopped", 2)
    clock = ("trainer.max_time='00:00:00:01'", "callbacks.checkpoint.every_n_minutes=0.002")
    late = lstm_lm.train(small_config(*TWO, *clock, "trainer.max_epochs=100000"), tmp_path / "late")
    assert late.status == "stopped"
    assert (tmp_path / "late" / "checkpoints" / "last.ckpt").exists()


def test_one_device_needs_no_other_process(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("device=ddp", "trainer.accelerator=cpu", "trainer.max_steps=2"), tmp_path / "run")
    assert last(tmp_path / "run")["lstm_lm"]["other_processes"] == []


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("trainer.strategy=fsdp", "trainer.strategy=fsdp: several devices work together with device=ddp"),
        ("trainer.strategy=ddp_spawn", "trainer.strategy=ddp_spawn"),
        ("trainer.num_nodes=2", "trainer.num_nodes=2"),
        ("trainer.devices=x", "trainer.devices=x"),
        ("data.batch_size=200", "400 streams"),  # which rank 0 alone knows, once it has read the text
    ],
)
def test_what_cannot_be_is_refused_once(
    typed: str, told: str, small_config: Config, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError) as caught:
        lstm_lm.train(small_config(*TWO, typed), tmp_path / "run")
    assert type(caught.value) is UserError
    assert told in str(caught.value)
    assert capfd.readouterr().err == "", "neither the other processes nor the launcher have anything to say"
    assert not (tmp_path / "run").exists()


@pytest.mark.matrix
def test_the_command_has_one_directory_and_one_voice(small_file: Path, tmp_path: Path) -> None:
    command = Command(tmp_path, small_file, "trainer.max_epochs=1", "trainer.max_steps=3")
    out, err = command.process.communicate(timeout=SECONDS)
    assert (command.process.returncode, err) == (0, "")
    assert out.count("completed after 3 steps") == 1
    [folder] = (tmp_path / "outputs").iterdir()
    run = RunDirectory(folder)
    done = json.loads(run.summary.read_text())
    assert (done["status"], done["train"]["steps"]) == ("completed", 3)
    assert done["command"].startswith("python train.py device=ddp ")
    assert len(list(run.tensorboard.glob("*tfevents*"))) == 1
    assert [row["step"] for row in metrics_file.read(run.metrics)] == [1, 2, 3]
    assert {path.name for path in run.config.parent.iterdir()} == {"config.yaml", "hydra.yaml", "overrides.yaml"}
    assert not [path for path in tmp_path.glob("tmp/*") if path.is_dir()], "what the processes were told is removed"


WITHOUT_GUARD = """
import lstm_lm

config = lstm_lm.compose({typed})
summary = lstm_lm.train(config, "run")
print("trained", summary.train.steps, summary.status)
"""


@pytest.mark.matrix
def test_a_script_needs_no_guard(small_file: Path, tmp_path: Path) -> None:
    """Each process is a new one, that runs nothing of the script: else each would start two more."""
    script = tmp_path / "mine.py"
    script.write_text(WITHOUT_GUARD.format(typed="*__import__('sys').argv[1:]"))
    command = Command(tmp_path, small_file, "trainer.max_epochs=1", "trainer.max_steps=2", script=script)
    assert command.process.communicate(timeout=SECONDS) == ("trained 2 completed\n", "")


def test_a_sweeps_jobs_run_on_as_many_devices_as_each_says(
    small_config: Config, small_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jobs run in this process, and what one would start is asked for only."""
    asked: list[int] = []

    def launch(config: dict[str, Any], run_dir: Path, count: int, **more: Any) -> Summary:
        asked.append(count)
        return lstm_lm.train(small_config("trainer.max_steps=2"), run_dir)

    monkeypatch.setattr(fresh_process, "run", as_in_a_process)
    monkeypatch.setattr("lstm_lm.training.train.launch", launch)
    typed = ("device=ddp", "trainer.accelerator=cpu", "trainer.devices=1,2", "trainer.max_steps=2")
    paths = (f"data.path={small_file}", f"data.cache_dir={tmp_path / 'cache'}", f"hydra.sweep.dir={tmp_path / 'swept'}")
    assert main(["train", "-m", *TYPED, *paths, *typed]) == 0
    assert asked == [2]
    jobs = sorted((tmp_path / "swept").glob("[12]_*/summary.json"))
    assert [summary.read(job).status for job in jobs] == ["completed"] * 2


@pytest.mark.matrix
def test_a_sweeps_jobs_really_run_on_as_many_devices(small_file: Path, tmp_path: Path) -> None:
    typed = ("device=ddp", "trainer.accelerator=cpu", "trainer.devices=1,2", "trainer.max_steps=2")
    command = Command(tmp_path, small_file, "-m", *typed, "hydra.sweep.dir=swept", together=False)
    out, err = command.process.communicate(timeout=SECONDS)
    assert command.process.returncode == 0, (out, err)
    jobs = [last(folder)["lstm_lm"] for folder in sorted((tmp_path / "swept").glob("[12]_*")) if folder.is_dir()]
    assert [1 + len(job["other_processes"]) for job in jobs] == [1, 2]
