"""A sweep goes on whatever becomes of its jobs, and says at the end what became of each."""

import io
import json
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_commands import TINY, Apart, Here, Said, StandIn, Underway, in_a_new_process, logged

from lstm_lm.errors import RunError, UserError
from lstm_lm.registry import names
from lstm_lm.runs import checkpoint_file, summary
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.summary import SplitSummary
from lstm_lm.sweeps import records, sweep
from lstm_lm.sweeps.records import Record
from lstm_lm.training.module import LanguageModelTask


def jobs(folder: Path) -> list[Path]:
    """The job directories of the one sweep there is."""
    [sweep] = (folder / "outputs" / "sweeps").iterdir()
    return sorted(path for path in sweep.iterdir() if path.is_dir())


def statuses(said: Said) -> list[str]:
    """Of the jobs, in the closing table."""
    _, table = said.out.split("\njob ")
    return [line.split()[1] for line in table.partition("\n\n")[0].splitlines()[1:]]


def test_all_combinations_run_each_in_a_directory_of_its_own(stand_in: StandIn, here: Here, own_folder: Path) -> None:
    said = here("train", "-m", "optimizer=sgd", "model.hidden_size=8,16", "precision=32-true,bf16-mixed")
    assert said.status == 0, said.err
    assert [path.name for path in jobs(own_folder)] == [
        "1_model.hidden_size=8_precision=32-true",
        "2_model.hidden_size=8_precision=bf16-mixed",
        "3_model.hidden_size=16_precision=32-true",
        "4_model.hidden_size=16_precision=bf16-mixed",
    ]
    assert [call[0]["model"]["hidden_size"] for call in stand_in.calls] == [8, 8, 16, 16]
    assert all(RunDirectory(path).config.is_file() for path in jobs(own_folder))
    assert "[2/4] model.hidden_size=8 precision=bf16-mixed" in said.out, "what is the same in all is not repeated"
    assert re.search(rf"sweep +{jobs(Path())[0].parent}\n", said.out)


@pytest.mark.parametrize(
    ("bits", "typed", "best"),
    [
        ({1: 2.2, 2: 1.9, 3: 2.0}, ["seed=1,2,3"], 2),
        ({1: 2.2, 2: None, 3: 2.0}, ["seed=1,2,3"], None),
        ({1: 2.2}, ["seed=1", "data.validation_fraction=0.1,0.2"], None),
    ],
)
def test_the_best_job_is_named_where_all_compare(
    bits: dict[int, float | None],
    typed: list[str],
    best: int | None,
    stand_in: StandIn,
    here: Here,
    own_folder: Path,
) -> None:
    """By bits per byte, on one text: a loss per token tells nothing where tokens differ."""
    stand_in.val = lambda config: SplitSummary(loss=float(config["seed"]), bits_per_byte=bits[config["seed"]])
    said = here("train", "-m", *typed)
    named = re.findall(r"best +(\S+)\n", said.out)
    assert [own_folder / name for name in named] == ([] if best is None else [jobs(own_folder)[best - 1]])


def test_a_failed_job_does_not_end_the_sweep(stand_in: StandIn, here: Here, own_folder: Path) -> None:
    errors = {2: UserError("text.txt: missing\nname another"), 3: ZeroDivisionError("inside"), 4: RunError("disk full")}
    stand_in.error = lambda config: errors.get(config["seed"])
    said = here("train", "-m", "seed=1,2,3,4,5")
    assert said.status == 1
    one, two, three, four, five = map(RunDirectory, jobs(own_folder))
    assert [summary.read(run.summary).status for run in (one, two, three, four, five)] == [
        "completed",
        "failed",
        "failed",
        "failed",
        "completed",
    ]
    assert summary.read(two.summary).reason == "text.txt: missing\nname another"
    assert "ZeroDivisionError: inside" in (three.path / "error.log").read_text()
    assert "Traceback" in (three.path / "error.log").read_text()
    assert len(said.err.splitlines()) == 2 + 1 + 1, said.err
    assert "Traceback" not in said.err
    assert statuses(said) == ["completed", "failed", "failed", "failed", "completed"]


def test_jobs_that_are_all_refused_are_wrong_input(stand_in: StandIn, here: Here, own_folder: Path) -> None:
    said = here("train", "-m", "model.hidden_size=0,-1")
    assert said.status == 2
    assert stand_in.calls == []
    reasons = [summary.read(RunDirectory(path).summary).reason for path in jobs(own_folder)]
    assert reasons[0] is not None
    assert reasons[0].startswith("model.hidden_size=0: must be")


def test_wrong_values_are_told_before_the_first_job(stand_in: StandIn, here: Here) -> None:
    """Not after the hours that the jobs before it take."""
    said = here("train", "-m", "model.hidden_size=8,16,-1", "optimizer.lr=1e-2,0")
    lines = said.err.splitlines()
    assert "4 of 6 jobs" in lines[0]
    assert [line.split(":")[0].strip() for line in lines[1:5]] == ["2", "4", "5", "6"]
    assert "optimizer.lr=0" in lines[1]
    assert len(stand_in.calls) == 2, "the others run all the same"


@pytest.mark.parametrize("typed", [["budget=1m", "model.hidden_size=[64,64,64]"], ["budget=1m", "model=ffn"]])
def test_what_a_budget_chooses_is_not_judged_before(typed: list[str], stand_in: StandIn, here: Here) -> None:
    assert "will be refused" not in here("train", "-m", "seed=1,2", *typed).err


def test_many_wrong_jobs_are_counted_and_a_few_named(stand_in: StandIn, here: Here) -> None:
    lines = here("train", "-m", "optimizer.lr=0", "seed=1,2,3,4,5,6,7").err.splitlines()
    assert "7 of 7 jobs" in lines[0]
    assert sum("optimizer.lr=0" in line and line.startswith("    ") for line in lines) == 5


def test_a_job_that_cannot_be_judged_yet_is_not_called_wrong(stand_in: StandIn, here: Here) -> None:
    said = here("train", "-m", "seed=1,2,3", "data.batch_size=${hydra:job.num}")
    assert "will be refused" not in said.err
    assert len(stand_in.calls) == 2, "of 0, 1 and 2, zero alone was wrong"


def test_interrupted_while_the_first_job_imports_it_just_ends(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been imported in part cannot be imported again."""

    def imports(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lstm_lm.cli.train.run_job", imports)
    monkeypatch.setitem(sys.modules, "lstm_lm.sweeps.sweep", None)
    said = here("train", "-m", "seed=1,2")
    assert (said.status, said.out) == (130, "")
    assert len(said.err.splitlines()) == 1


def test_ctrl_c_ends_the_sweep(stand_in: StandIn, here: Here) -> None:
    stand_in.error = lambda config: KeyboardInterrupt() if config["seed"] == 2 else None
    said = here("train", "-m", "seed=1,2,3")
    assert said.status == 130
    assert [config["seed"] for config, _, _ in stand_in.calls] == [1, 2]
    assert "interrupted" in said.out, "the table shows what there is"


def test_a_sweep_over_texts(stand_in: StandIn, here: Here, own_folder: Path) -> None:
    for name in ("it's (1).txt", "${x}.txt", "a, b.txt"):
        (own_folder / name).write_text("text")
    said = here("train", "-m", "data=text", "data.path=it's (1).txt,${x}.txt")
    assert said.status == 0, said.err
    assert "[2/2] data.path=${x}.txt\n" in said.out
    assert here("train", "-m", "data=text", "data.path=a, b.txt", "seed=1,2").status == 0
    paths = [config["data"]["path"] for config, _, _ in stand_in.calls]
    assert paths == ["it's (1).txt", "${x}.txt", "a, b.txt", "a, b.txt"]


@pytest.mark.matrix
def test_free_text_beside_a_sweep(stand_in: StandIn, here: Here) -> None:
    prompt = " 'q', ${now:%Y} \\' [x]=\\"
    assert here("train", "-m", f"callbacks.samples.prompt={prompt}", "seed=1,2").status == 0
    assert [config["callbacks"]["samples"]["prompt"] for config, _, _ in stand_in.calls] == [prompt, prompt]


def test_resume_never_leaves_a_directory_that_holds_a_run_as_it_was(
    stand_in: StandIn, here: Here, own_folder: Path
) -> None:
    command = ("train", "-m", "hydra.sweep.dir=my sweep", "seed=1,2", "resume=never")
    assert here(*command).status == 0
    kept = {path: path.read_bytes() for path in own_folder.glob("my sweep/*/**/*") if path.is_file()}
    assert len(kept) == 2 * 5, "a summary, a lock and three files of Hydra's each"
    said = here(*command)
    assert said.status == 2
    assert said.err.count("holds a run already") == 2
    assert {path: path.read_bytes() for path in own_folder.glob("my sweep/*/**/*") if path.is_file()} == kept


def test_jobs_that_start_from_a_trained_run_are_resumed_without_it(
    stand_in: StandIn, here: Here, trained: Path, own_folder: Path
) -> None:
    [run] = (trained / "outputs").glob("2*")
    command = ("train", "-m", "hydra.sweep.dir=swept", f"init_from={run}", "tokenizer=char", "seed=1,2")
    stand_in.error = lambda config: RunError("disk full") if config["seed"] == 2 else None
    assert here(*command).status == 1
    assert [(config["init_from"], config["resume"]) for config, *_ in stand_in.calls] == [(str(run), "never")] * 2
    assert "nothing to resume" not in here(*command).out
    assert len(stand_in.calls) == 3, "the first job is complete"


def test_a_text_that_changes_while_a_sweep_runs_fails_the_jobs_that_are_left(
    stand_in: StandIn, here: Here, own_folder: Path
) -> None:
    text = own_folder / "text.txt"
    text.write_text("one")

    def change(config: dict[str, Any]) -> None:
        if config["seed"] == 2:
            text.write_text("another")

    stand_in.error = change
    said = here("train", "-m", "data=text", "data.path=text.txt", "seed=1,2,3")
    assert said.status == 1
    assert said.err.count("text train: changed since this began") == 2
    assert [config["seed"] for config, *_ in stand_in.calls] == [1, 2], "the third is not begun"


def test_a_job_that_another_command_has_done_meanwhile_is_done(stand_in: StandIn, here: Here, own_folder: Path) -> None:
    def take_over(config: dict[str, Any]) -> None:
        if config["seed"] == 2:
            first = own_folder / "swept" / "1_seed=1"
            record = records.read(first)
            assert record is not None
            record.model_copy(update={"attempt": "another"}).write(first)

    stand_in.error = take_over
    said = here("train", "-m", "hydra.sweep.dir=swept", "seed=1,2")
    assert said.status == 0, said.err
    assert statuses(said) == ["completed", "completed"]


@pytest.mark.parametrize("subdir", ["../elsewhere-${hydra.job.num}", "."])
def test_jobs_lie_below_the_sweep(subdir: str, here: Here, own_folder: Path) -> None:
    said = here("train", "-m", f"hydra.sweep.subdir={subdir}", "seed=1,2")
    assert "hydra.sweep.subdir" in said.refused()
    assert list(own_folder.iterdir()) == []


@pytest.mark.matrix
def test_a_job_that_failed_at_once_can_be_run_again(stand_in: StandIn, here: Here, own_folder: Path) -> None:
    stand_in.error = lambda config: UserError("text.txt: missing")
    command = ("train", "-m", "hydra.sweep.dir=swept", "seed=1,2")
    assert here(*command).status == 2
    stand_in.error = lambda config: UserError("text.txt: empty") if config["seed"] == 2 else None
    assert here(*command).status == 1
    said = [summary.read(path) for path in sorted(own_folder.glob("swept/*/summary.json"))]
    assert [(run.status, run.reason) for run in said] == [("completed", None), ("failed", "text.txt: empty")]


def test_the_same_sweep_again_does_what_is_missing(
    jobs_here: None, here: Here, own_folder: Path, corpus: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three jobs one is finished, one had failed and one is half done: skipped, tried again and continued."""
    texts = [own_folder / name for name in ("one.txt", "two.txt", "three.txt")]
    for text in (texts[0], texts[2]):
        text.write_text("to be or not to be, that is the question. " * 40)
    steps = steps_taken(monkeypatch, end_at=9 + 6)
    arguments = [line for line in (*TINY, *corpus) if not line.startswith(("data.path", "trainer.max_steps"))]
    more = "trainer.max_steps=9", "data.path=one.txt,two.txt,three.txt", "hydra.sweep.dir=swept"
    command = ["train", "-m", *arguments, *more]
    first = here(*command)
    assert first.status == 128 + signal.SIGTERM
    one, two, three = (RunDirectory(path) for path in sorted(own_folder.glob("swept/*/")))
    assert [summary.read(run.summary).status for run in (one, two, three)] == ["completed", "failed", "interrupted"]
    assert steps == [*range(9), *range(6)]
    finished = {path: path.read_bytes() for path in one.path.rglob("*") if path.is_file()}
    texts[1].write_text("a text that has come in the meantime, with some words in it. " * 40)
    steps.clear()
    again = here(*command)
    assert again.status == 0, again.err
    assert again.out.count("complete, nothing left to do") == 1
    assert logged(own_folder, "continued from") == 1
    assert steps == [*range(9), *range(6, 9)], "of the third, the steps that were not taken yet"
    assert {path: path.read_bytes() for path in one.path.rglob("*") if path.is_file()} == finished
    done = [summary.read(run.summary) for run in (one, two, three)]
    assert [(run.status, run.train.steps) for run in done] == [("completed", 9)] * 3


@pytest.mark.matrix
def test_a_directory_that_holds_another_run_is_not_this_jobs(
    jobs_here: None, here: Here, own_folder: Path, corpus: list[str]
) -> None:
    """Its name holds what tells the jobs apart, not what all have in common: settings, text and code."""
    (own_folder / "text.txt").write_text("to be or not to be, that is the question. " * 40)
    own = "precision", "data.path", "trainer.max_steps"
    shared = [line for line in (*TINY, *corpus) if not line.startswith(own)]
    text = ("data.path=text.txt", "scheduler=constant")
    command = ("train", "-m", *shared, *text, "seed=1,2", "hydra.sweep.dir=swept")
    was = ("precision=32-true", "trainer.max_steps=2")

    def precisions() -> dict[str, str | None]:
        found = {path.parent.name: summary.read(path) for path in sorted(own_folder.glob("swept/*/summary.json"))}
        assert {run.status for run in found.values()} == {"completed"}
        return {name: run.runtime.precision for name, run in found.items()}

    assert here(*command, *was).status == 0
    first = {"1_seed=1": "32-true", "2_seed=2": "32-true"}
    assert precisions() == first
    now = ("precision=64-true", "forward=stepwise", "trainer.max_steps=2")
    said = here(*command, *now)
    assert said.status == 0, said.err
    assert "forward.name: auto then, stepwise now; precision.name: 32-true then, 64-true now" in said.out
    second = {"1_seed=1-2": "64-true", "2_seed=2-2": "64-true"}
    assert precisions() == first | second
    for settings in (was, now):  # each finds its own, and only that
        assert here(*command, *settings).out.count("complete, nothing left to do") == 2
    assert precisions() == first | second
    (own_folder / "text.txt").write_text("to be or not to be, that is another question. " * 40)
    said = here(*command, *was)
    assert "text train: " in said.out
    assert "complete, nothing left to do" not in said.out
    assert precisions() == first | second | {"1_seed=1-3": "32-true", "2_seed=2-3": "32-true"}
    assert here(*command, *was, "resume=auto").status == 2, "who says resume= means the run that is there"
    more = here(*command, "precision=32-true", "trainer.max_steps=4")
    assert more.status == 0
    assert logged(own_folder, "continued from") == 2
    assert len(precisions()) == 6, "a run goes on to a further limit where it is"
    fell = here(*command, *was, "scheduler=one_cycle")
    assert "scheduler.name: constant then, one_cycle now" in fell.out
    further = here(*command, "precision=32-true", "trainer.max_steps=4", "scheduler=one_cycle")
    assert "trainer.max_steps: 2 then, 4 now" in further.out, "a schedule that spans the run is another one"
    assert logged(own_folder, "continued from") == 2


@pytest.mark.parametrize("name", names("lstm_lm.training.schedulers"))
def test_a_job_goes_on_to_a_further_limit_where_its_schedule_does_not_span_the_run(name: str) -> None:
    then = {"scheduler.name": name, "trainer.max_steps": 2}
    goes_on = sweep._goes_further(then, then | {"trainer.max_steps": 4})
    assert goes_on == (name in ("constant", "plateau", "step"))


def steps_taken(monkeypatch: pytest.MonkeyPatch, end_at: int) -> list[int]:
    """The numbers of the steps, as they are taken; SIGTERM comes in the `end_at`th."""
    steps: list[int] = []
    whole = LanguageModelTask.training_step

    def noted(task: LanguageModelTask, *arguments: Any) -> torch.Tensor:
        steps.append(task.global_step)
        if len(steps) == end_at:
            signal.raise_signal(signal.SIGTERM)
        return whole(task, *arguments)

    monkeypatch.setattr(LanguageModelTask, "training_step", noted)
    return steps


def test_a_job_whose_text_is_missing_leaves_why(
    jobs_here: None, here: Here, own_folder: Path, corpus: list[str]
) -> None:
    said = here("train", "-m", *TINY, *corpus, "data.path=gone.txt", "seed=1,2")
    assert said.status == 2
    for path in jobs(own_folder):
        run = RunDirectory(path)
        failed = summary.read(run.summary)
        assert failed.status == "failed"
        assert failed.reason is not None
        assert "gone.txt" in failed.reason
        assert not run.checkpoints.exists()
        assert not run.tensorboard.exists()


def test_a_text_from_standard_input_is_every_jobs(
    stand_in: StandIn, here: Here, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"to be or not to be")))
    said = here("train", "-m", "data=text", "data.path=-", "data.cache_dir=cache", "seed=1,2")
    assert said.status == 0, said.err
    paths = [config["data"]["path"] for config, _, _ in stand_in.calls]
    assert [Path(path).read_text() for path in paths] == ["to be or not to be"] * 2


@pytest.mark.matrix
def test_six_jobs_of_which_one_fails_and_one_is_killed(own_folder: Path, corpus: list[str]) -> None:
    """In real processes: the rest is done, the same command does what is missing, in a study's format of records."""
    small = [line for line in TINY if not line.startswith("trainer.max_steps")]
    command = ["-m", *small, *corpus, "hydra.sweep.dir=swept", "trainer.max_epochs=-1", "scheduler=constant"]
    command += ["trainer.max_steps=100000,0,1,2,3,4", "callbacks.checkpoint.every_n_steps=20"]
    command += ["trainer.check_val_every_n_epoch=100000"]
    with Underway(command, own_folder) as sweep:
        run = sweep.wait_for_a_checkpoint()  # of the job that would last
        sweep.job_of(run).kill()
        said = sweep.end()
    assert said.status == 1, said
    assert "Traceback" not in said.err
    folders = sorted(own_folder.glob("swept/*/"))
    stages = [record.stages["train"] for folder in folders if (record := records.read(folder)) is not None]
    assert [stage.status for stage in stages] == ["failed"] * 2 + ["completed"] * 4
    assert [stage.exit_status for stage in stages] == [-signal.SIGKILL, 2, 0, 0, 0, 0]
    assert "error: ended by SIGKILL" in said.err
    told = [summary.read(folder / "summary.json") for folder in folders]
    assert [one.status for one in told] == ["failed"] * 2 + ["completed"] * 4
    assert told[0].reason == "ended by SIGKILL (out of memory?)"
    assert told[1].reason is not None
    assert "trainer.max_steps" in told[1].reason
    reached = checkpoint_file.load(run.last)["global_step"]
    with Underway(command, own_folder) as sweep:
        while checkpoint_file.load(run.last)["global_step"] == reached:
            assert sweep.process.poll() is None
            time.sleep(0.05)
        sweep.process.send_signal(signal.SIGINT)
        said = sweep.end()
    assert said.status == 130, said
    assert logged(own_folder, "continued from") == 1
    assert checkpoint_file.load(run.last)["global_step"] > reached
    assert summary.read(run.summary).status == "interrupted"
    assert [records.read(folder) is not None for folder in folders] == [True] * 6
    assert json.loads(records.record_file(run.path).read_text()).keys() == Record.model_fields.keys()


def test_a_job_is_a_line_before_and_a_line_after_it(jobs_here: None, here: Here, corpus: list[str]) -> None:
    """Its set-up, its samples and what it proposes are in its log; the closing table says the rest."""
    said = here("train", "-m", *TINY, *corpus, "callbacks.samples.length=50", "seed=1,2", "hydra.sweep.dir=swept")
    assert said.status == 0, said.err
    before, _ = said.out.split("\njob ")
    first, reached, second, again = filter(None, before.splitlines())
    assert (first, second) == ("[1/2] seed=1", "[2/2] seed=2")
    done = summary.read(Path("swept/1_seed=1/summary.json"))
    assert done.val is not None
    assert f"{done.val.loss:.4f}" in reached
    assert "completed after 3 steps" in again
    log = Path("swept/1_seed=1.train.log").read_text()
    assert {"text", "model", "sample", "validation", "next"} <= {line.split()[0] for line in log.splitlines()}


def test_what_all_jobs_are_warned_of_is_said_once(jobs_here: None, here: Here, corpus: list[str]) -> None:
    said = here("train", "-m", *TINY, *corpus, "trainer.max_epochs=1", "trainer.max_steps=999", "seed=1,2")
    assert said.status == 0, said.err
    assert said.out.count("warning: trainer.max_steps=999") == 1


def test_the_real_thing(own_folder: Path, corpus: list[str], apart: Apart) -> None:
    arguments = [line for line in TINY if not line.startswith("precision")]
    said = apart("train.py", "-m", *arguments, *corpus, "precision=32-true,16-mixed", cwd=own_folder, COLUMNS="200")
    assert said.status == 1, said.err
    assert "Traceback" not in said.err
    good, bad = (summary.read(RunDirectory(path).summary) for path in jobs(own_folder))
    assert good.status == "completed"
    assert bad.status == "failed"
    assert good.val is not None
    assert f"{good.val.loss:.4f}" in said.out
    assert "sample" not in said.out
    assert logged(own_folder, "sample from") == 1


@pytest.mark.matrix
def test_a_job_may_have_several_processes(own_folder: Path, corpus: list[str]) -> None:
    arguments = [line for line in TINY if not line.startswith("device")]
    two = ["device=ddp", "trainer.accelerator=cpu", "trainer.devices=1,2"]
    said = in_a_new_process("train.py", "-m", *arguments, *corpus, *two, cwd=own_folder)
    assert said.status == 0, said
    assert [summary.read(path / "summary.json").status for path in jobs(own_folder)] == ["completed"] * 2
