"""`train` around the training itself, for which something quick stands in; the real one is at the end."""

import datetime
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_commands import ROOT, TINY, Apart, Here, StandIn, in_a_new_process
from omegaconf import OmegaConf
from tiers import first

from lstm_lm.errors import Interrupted, RunError, UserError
from lstm_lm.runs import summary
from lstm_lm.runs.directory import RunDirectory


@pytest.fixture
def frozen_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    class Frozen(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> "Frozen":
            return cls(2026, 1, 31, 12, 0, 0)

    monkeypatch.setattr("hydra.core.utils.datetime", Frozen)


def test_a_run_gets_plain_values_its_directory_and_what_was_typed(stand_in: StandIn, here: Here) -> None:
    said = here("train", "model.hidden_size=[64, 32]", "model.num_layers=2", "data=text", "data.path=it's.txt")
    assert said.status == 0, said.err
    [(config, run_dir, command)] = stand_in.calls
    assert type(config) is dict
    assert type(config["model"]) is dict
    assert config["model"]["hidden_size"] == [64, 32]
    assert config["model"]["layer_dropout"] == 0.0, "interpolations are resolved"
    assert config["data"]["path"] == "it's.txt"
    assert "hydra" not in config
    assert run_dir.parent == Path("outputs")
    assert (
        command
        == """lstm-lm train 'model.hidden_size=[64, 32]' model.num_layers=2 data=text 'data.path=it'"'"'s.txt'"""
    )


def test_the_composed_configuration_is_kept(stand_in: StandIn, here: Here) -> None:
    prompt = "  What's this? ${x} = [1, 2] \\ "
    assert here("train", f"callbacks.samples.prompt={prompt}").status == 0
    [(config, run_dir, _)] = stand_in.calls
    assert config["callbacks"]["samples"]["prompt"] == prompt
    kept = OmegaConf.load(RunDirectory(run_dir).config)
    assert OmegaConf.to_container(kept, resolve=True) == config
    assert {path.name for path in (run_dir / ".hydra").iterdir()} == {"config.yaml", "hydra.yaml", "overrides.yaml"}


@pytest.mark.usefixtures("frozen_clock")
def test_runs_of_the_same_second_never_share_a_directory(stand_in: StandIn, here: Here) -> None:
    for _ in range(3):
        assert here("train").status == 0
    names = [run_dir.name for _, run_dir, _ in stand_in.calls]
    assert names == ["2026-01-31_12-00-00", "2026-01-31_12-00-00-2", "2026-01-31_12-00-00-3"]


@pytest.mark.usefixtures("frozen_clock")
@pytest.mark.parametrize(
    ("typed", "made"),
    [
        ("hydra.run.dir=runs/my run (1), it's", "runs/my run (1), it's"),
        ("hydra.run.dir='runs/${now:%H-%M}'", "runs/12-00"),
        ("hydra.run.dir=runs/${now:%H-%M}=${seed}", "runs/12-00=1"),
        ("hydra.run.dir=${fresh_dir:runs/x}", "runs/x"),
    ],
)
def test_a_run_directory_of_ones_own(typed: str, made: str, stand_in: StandIn, here: Here) -> None:
    assert here("train", typed).status == 0
    assert stand_in.calls[0][1] == Path(made)
    assert RunDirectory(Path(made)).config.is_file()


@pytest.mark.parametrize("what", ["job", "hydra", "all"])
def test_looking_at_a_configuration_makes_nothing(what: str, here: Here, own_folder: Path) -> None:
    said = here("train", "--cfg", what, "--resolve", "seed=7")
    assert said.status == 0, said.err
    assert list(own_folder.iterdir()) == []
    if what != "hydra":
        assert "\nseed: 7\n" in said.out


def test_info_and_completion_make_nothing(
    here: Here, own_folder: Path, monkeypatch: pytest.MonkeyPatch, apart: Apart
) -> None:
    # Apart: --info leaves Python's logging chatty.
    assert "Defaults List" in apart("train.py", "--info", "defaults", cwd=own_folder).out
    monkeypatch.setenv("COMP_LINE", "python train.py tokenizer=")
    monkeypatch.setenv("COMP_POINT", "26")
    assert here("train", "-sc", "query=bash").status == 0
    assert list(own_folder.iterdir()) == []


def test_flags_and_overrides_in_any_order(here: Here) -> None:
    said = here("train", "seed=7", "--cfg", "job", "model.hidden_size=3")
    assert "hidden_size: 3\n" in said.out
    assert "seed: 7\n" in said.out


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("model.hidden_size=0", ["model.hidden_size=0", "greater than or equal to 1"]),
        pytest.param("model.dropout=1.5", ["model.dropout=1.5", "less than 1"], marks=pytest.mark.matrix),
        ("optimizer.lr=-1", ["optimizer.lr=-1", "greater than 0"]),
        pytest.param("optimizer.lr=nan", ["optimizer.lr=nan", "finite"], marks=pytest.mark.matrix),
        ("seed=-1", ["seed=-1"]),
        ("resume=maybe", ["resume='maybe'", "never"]),
        ("trainer.max_epochs=0", ["trainer.max_epochs", "1 or more"]),
        ("ckpt_path=nothing.ckpt", ["nothing.ckpt"]),
        ("ckpt_path=last", ["last.ckpt"]),
        ("resume=auto init_from=x", ["exclude each other"]),
        pytest.param("ckpt_path=last init_from=x", ["exclude each other"], marks=pytest.mark.matrix),
        ("trainer.max_time=banana", ["trainer.max_time=banana"]),
        ("device=cpu precision=16-mixed", ["bf16-mixed"]),
        ("trainer.num_nodes=2", ["trainer.num_nodes=2"]),
        ("~model", ["model: missing"]),
        pytest.param("model.bidirectional=true", ["model.bidirectional"], marks=pytest.mark.matrix),
        ("forward=pipelined forward.chunk=0", ["forward.chunk=0", "greater than or equal to 1"]),
        pytest.param("forward=pipelined forward.chunk=2.5", ["forward.chunk=2.5"], marks=pytest.mark.matrix),
        pytest.param(
            "forward=pipelined forward.workers=0",
            ["forward.workers=0", "greater than or equal to 1"],
            marks=pytest.mark.matrix,
        ),
        pytest.param("forward=pipelined forward.workers=all", ["forward.workers='all'"], marks=pytest.mark.matrix),
        pytest.param("forward=pipelined forward.devices=[]", ["forward.devices"], marks=pytest.mark.matrix),
        pytest.param(
            "forward=pipelined forward.devices=[cuda:99]", ["forward.devices", "cuda:99"], marks=pytest.mark.matrix
        ),
        pytest.param("forward=fused forward.chunk=4", ["forward.chunk"], marks=pytest.mark.matrix),
        ("budget=5", ["budget=5", "budget=10m"]),
        ("budget=10m trainer.max_epochs=3", ["budget=10m", "trainer.max_epochs"]),
        pytest.param("budget=10m tune=speed", ["tune=speed"], marks=pytest.mark.matrix),
        pytest.param("budget=10m model=transformer", ["model=transformer"], marks=pytest.mark.matrix),
    ],
)
def test_refused_before_anything_is_written(
    typed: str, told: list[str], stand_in: StandIn, here: Here, own_folder: Path
) -> None:
    message = here("train", *typed.split()).refused()
    for words in told:
        assert words in message
    assert stand_in.calls == []
    assert list(own_folder.iterdir()) == []


@pytest.mark.parametrize("where", first(["a_file/run", "/proc/lstm-lm/run"]))
def test_an_output_folder_that_cannot_be_made(where: str, stand_in: StandIn, here: Here, own_folder: Path) -> None:
    (own_folder / "a_file").touch()
    message = here("train", f"hydra.run.dir={where}").refused()
    assert where.split("/run")[0] in message
    assert "hydra.run.dir=DIR" in message
    message = here("train", "-m", f"hydra.sweep.dir={where}", "seed=1,2").refused()
    assert "hydra.sweep.dir=DIR" in message
    assert stand_in.calls == []


def test_a_directory_that_holds_a_run_is_left_as_it_was(stand_in: StandIn, here: Here, own_folder: Path) -> None:
    assert here("train", "hydra.run.dir=run", "seed=1").status == 0
    before = {path: path.read_bytes() for path in own_folder.rglob("*") if path.is_file()}
    message = here("train", "hydra.run.dir=run", "seed=2").refused()
    assert "run: holds a run already" in message
    assert {path: path.read_bytes() for path in own_folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("error", "status", "lines"),
    [
        (RunError("disk full\nfree some"), 1, 2),
        (Interrupted(signal.SIGINT), 130, 0),
        (Interrupted(signal.SIGTERM), 143, 0),
        (KeyboardInterrupt(), 130, 1),
    ],
)
def test_how_training_ends_is_the_exit_status(
    error: BaseException, status: int, lines: int, stand_in: StandIn, here: Here, own_folder: Path
) -> None:
    stand_in.error = lambda config: error
    said = here("train")
    assert (said.status, len(said.err.splitlines())) == (status, lines), said
    assert list(own_folder.iterdir()) == [], "nothing is left of a run that left no results"


def test_an_error_of_the_program_keeps_its_traceback_and_its_place(stand_in: StandIn, here: Here) -> None:
    stand_in.error = lambda config: ZeroDivisionError("inside")
    said = here("train")
    assert said.status == 1
    assert "ZeroDivisionError: inside" in said.err
    assert "Error executing job" not in said.err, "Hydra's own handler has no part in it"


def test_the_real_thing_leaves_a_run(own_folder: Path, corpus: list[str]) -> None:
    said = in_a_new_process("train.py", *TINY, *corpus, cwd=own_folder)
    assert said.status == 0, said.err
    [folder] = (own_folder / "outputs").iterdir()
    run = RunDirectory(folder)
    done = summary.read(run.summary)
    assert done.status == "completed"
    assert done.command.startswith("python train.py device=cpu ")
    assert run.best.is_file()
    assert run.last.is_file()
    assert run.config.is_file()


def test_a_text_that_is_missing(here: Here, own_folder: Path) -> None:
    said = here("train", *TINY, "data.path=not there (yet).txt")
    assert "not there (yet).txt" in said.refused()
    assert list(own_folder.iterdir()) == [], "nothing is left"


def test_a_text_that_is_too_short_does_not_block_the_corrected_command(
    here: Here, own_folder: Path, corpus: list[str]
) -> None:
    (own_folder / "runs").mkdir()
    command = [*TINY, *corpus, "hydra.run.dir=runs/deep/mine"]
    said = here("train", *command, "data.batch_size=5000")
    assert "too short" in said.refused()
    assert list(own_folder.rglob("*")) == [own_folder / "runs"], "nothing is left of what was made"
    assert here("train", *command).status == 0
    before = {path: path.read_bytes() for path in own_folder.rglob("*") if path.is_file()}
    said = here("train", *command, "data.path=gone.txt", "resume=force", "trainer.max_steps=9")
    assert "gone.txt" in said.refused()
    assert {path: path.read_bytes() for path in own_folder.rglob("*") if path.is_file()} == before


def test_a_precision_that_a_cpu_does_not_have(here: Here, own_folder: Path, corpus: list[str]) -> None:
    said = here("train", *TINY, *corpus, "precision=16-mixed")
    assert "bf16-mixed" in said.refused()
    assert list(own_folder.iterdir()) == []


def test_a_directory_that_was_there_stays(stand_in: StandIn, here: Here, own_folder: Path) -> None:
    (own_folder / "run").mkdir()
    (own_folder / "run" / "notes.txt").write_text("mine")
    stand_in.error = lambda config: UserError("text.txt: missing")
    assert "text.txt" in here("train", "hydra.run.dir=run").refused()
    assert sorted(own_folder.rglob("*")) == [own_folder / "run", own_folder / "run" / "notes.txt"]


PIPELINED = ("model.num_layers=2", "forward=pipelined", "forward.devices=[cpu,cpu]", "forward.chunk=3")


def test_layers_on_several_devices_from_the_command_line(here: Here, corpus: list[str]) -> None:
    said = here("train", *TINY, *corpus, *PIPELINED, "hydra.run.dir=run")
    assert said.status == 0, said.err
    assert summary.read(RunDirectory(Path("run")).summary).runtime.forward == "pipelined"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("forward=wavefront model.num_layers=2 model.hidden_size=[8,4]", ["forward=wavefront", "unequal width"]),
        ("forward=pipelined forward.devices=[cpu,cpu,cpu] model.num_layers=2", ["3 devices for 2 layers"]),
        ("forward=fused model.zoneout_cell=0.1", ["forward=fused", "zoneout_cell=0.1"]),
    ],
)
def test_a_strategy_that_cannot_run_the_model_is_refused_before_training(
    typed: str, told: list[str], here: Here, own_folder: Path, corpus: list[str]
) -> None:
    message = here("train", *TINY, *corpus, *typed.split()).refused()
    for words in [*told, "use forward=auto, or one of:"]:
        assert words in message
    assert list(own_folder.iterdir()) == [], "nothing is left"


@pytest.mark.posix
@pytest.mark.parametrize(
    ("number", "status", "forward"),
    [
        pytest.param(signal.SIGINT, 130, (), id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 143, (), id="SIGTERM", marks=pytest.mark.matrix),
        pytest.param(signal.SIGINT, 130, PIPELINED, id="Ctrl-C while workers run", marks=pytest.mark.matrix),
    ],
)
def test_a_signal_ends_a_run_with_a_checkpoint(
    number: signal.Signals, status: int, forward: tuple[str, ...], own_folder: Path, corpus: list[str]
) -> None:
    arguments = [*TINY, *corpus, "trainer.max_steps=1000000", "trainer.max_epochs=-1", "trainer.log_every_n_steps=1"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *arguments, *forward, "hydra.run.dir=run"],
        cwd=own_folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    run = RunDirectory(own_folder / "run")
    deadline = time.monotonic() + 500  # on a machine that is busy
    while not run.metrics.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert len(err.splitlines()) <= 4
    assert "Traceback" not in err
    assert run.last.is_file()
    assert summary.read(run.summary).status == "interrupted"
