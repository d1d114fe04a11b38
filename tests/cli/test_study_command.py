"""`train -m study=NAME`, end to end: real rows in processes of their own, at a tiny size."""

import contextlib
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cli_commands import ROOT, TINY, Here, Said

from lstm_lm.cli import study as study_command
from lstm_lm.cli.hydra.compose import compose
from lstm_lm.cli.main import main
from lstm_lm.reports.markdown import times_as_fast
from lstm_lm.reports.spread import paired_ratio

NAME = "study=precision_compile"
ROWS = [
    "-m",
    NAME,
    "study.repetitions=2",
    *(line for line in TINY if not line.startswith(("precision", "trainer.max_steps", "callbacks"))),
    "trainer.max_steps=20",
    "trainer.limit_val_batches=1",
]
FOLDER = Path("outputs/studies/precision_compile/small")
ARMS: dict[str, Any] = {
    "plain": {"settings": {}, "sweep": {"precision": ["32-true", "16-mixed"]}},
    "slow": {"settings": {"precision": "32-true", "model.num_layers": 32}, "sweep": {}},
    "wrong": {"settings": {"precision": "32-true", "optimizer.lr": -1.0}, "sweep": {}},
}
"""A row that runs, one that this machine cannot run, one that is slow, and one that fails."""
BASELINES = {name: {"model.num_layers": None} for name in ("float32", "float32, not compiled")}


def plant(monkeypatch: pytest.MonkeyPatch, arms: dict[str, Any] = ARMS) -> None:
    """Give the study other arms."""

    def planted(*lines: str, config_name: str = "train") -> dict[str, Any]:
        config = compose(*lines, config_name=config_name)
        if "study" in config:
            settings = {**config["study"]["settings"], "forward": "stepwise"}
            config["study"] |= {"arms": arms, "baselines": BASELINES, "settings": settings}
        return config

    monkeypatch.setattr(study_command, "compose", planted)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / FOLDER / "results.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def page(folder: Path) -> str:
    return (folder / FOLDER / "report.md").read_text(encoding="utf-8")


def summaries(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in (folder / FOLDER / "rows").glob("*/[0-9]*/summary.json")]


def logs(folder: Path) -> dict[Path, int]:
    """One log for each process that was started, and when it was last written."""
    return {path: path.stat().st_mtime_ns for path in (folder / FOLDER / "rows").glob("*/*.log")}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, corpus: list[str]) -> tuple[Path, Said]:
    """The planted study, run once."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "200")
        plant(patch)
        said = in_process([*ROWS, *corpus])
    return folder, said


def in_process(argv: list[str]) -> Said:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["train", *argv])
    return Said(status, out.getvalue(), err.getvalue())


def test_a_study_of_two_rows_ends_in_a_report_and_a_table(
    own_folder: Path, corpus: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, {"plain": ARMS["plain"]})
    said = in_process([*("study.repetitions=1" if "repetitions" in line else line for line in ROWS), *corpus])
    assert said.status == 0, said
    assert "1 completed, 1 skipped" in said.out
    left = {path.name for path in FOLDER.iterdir()}
    assert {"report.md", "results.csv"} <= left
    assert "precision_compile.png" not in left, "one row compares with nothing"
    [done, skipped] = table(own_folder)
    [loss] = [said["train"]["loss"] for said in summaries(own_folder) if said["status"] == "completed"]
    assert float(done["train.loss"]) == loss
    assert "a CPU has no float16 mixed precision" in skipped["reason"]


@pytest.mark.matrix
def test_it_ends_in_a_report_a_table_and_a_picture(done: tuple[Path, Said]) -> None:
    folder, said = done
    assert said.status == 1, said  # a row has failed
    assert {"report.md", "results.csv", "precision_compile.png"} <= {path.name for path in (folder / FOLDER).iterdir()}
    assert "4 completed, 2 failed, 2 skipped" in said.out
    assert said.out.count("\n") == 2 + 8 + 2
    assert "Traceback" not in said.out + said.err


def completed(folder: Path, arm: str) -> list[dict[str, str]]:
    return [line for line in table(folder) if line["status"] == "completed" and line["arm"] == arm]


@pytest.mark.matrix
def test_the_report_and_the_table_hold_the_figures_of_the_runs(done: tuple[Path, Said]) -> None:
    folder, _ = done
    speeds = []
    for line in completed(folder, "plain"):
        [path] = (folder / FOLDER / "rows").glob(f"*_{line['row']}/{line['repetition']}/summary.json")
        summary = json.loads(path.read_text())
        for key in ("step_ms", "tokens_per_second", "loss"):
            assert float(line[f"train.{key}"]) == summary["train"][key]
        assert summary["seed"] == int(line["repetition"])
        speeds.append(summary["train"]["tokens_per_second"])
    assert len(speeds) == 2
    assert f"{sum(speeds) / 2:,.0f} ({min(speeds):,.0f}..{max(speeds):,.0f})" in page(folder)


@pytest.mark.matrix
def test_a_row_that_cannot_run_here_is_skipped_with_its_reason(done: tuple[Path, Said]) -> None:
    folder, _ = done
    skipped = [line for line in table(folder) if line["status"] == "skipped"]
    assert len(skipped) == 2
    assert all("a CPU has no float16 mixed precision" in line["reason"] for line in skipped)
    assert re.search(r"## Skipped.*\n\n- `.*16-mixed.*a CPU has no float16 mixed precision", page(folder))
    said = [summary for summary in summaries(folder) if summary["status"] == "skipped"]
    assert len(said) == 2
    assert all(summary["reason"] == skipped[0]["reason"] for summary in said)


@pytest.mark.matrix
def test_a_row_that_fails_is_listed_with_its_error(done: tuple[Path, Said]) -> None:
    folder, _ = done
    failed = [line for line in table(folder) if line["status"] == "failed"]
    assert [line["arm"] for line in failed] == ["wrong", "wrong"]
    assert "optimizer.lr=-1.0" in failed[0]["reason"]
    assert re.search(r"## Failed\n\n- `.*optimizer.lr=-1.0", page(folder))


@pytest.mark.matrix
def test_a_slow_row_shows_as_slow(done: tuple[Path, Said]) -> None:
    folder, _ = done
    speeds = {
        arm: {int(line["repetition"]): float(line["train.tokens_per_second"]) for line in completed(folder, arm)}
        for arm in ("slow", "plain")
    }
    ratio = paired_ratio(speeds["slow"], speeds["plain"])
    assert ratio is not None
    assert ratio.median < 0.6
    told = times_as_fast(ratio, "`precision=32-true model.num_layers=32`", "`precision=32-true`")
    assert f"- {told}\n" in page(folder)


@pytest.mark.matrix
def test_the_report_gives_the_command_that_runs_a_row_again(done: tuple[Path, Said], here: Here) -> None:
    folder, _ = done
    first = completed(folder, "plain")[0]
    [command] = [
        line for line in page(folder).splitlines() if line.startswith("python") and line.endswith(first["row"])
    ]
    words = command.split()
    assert words[:4] == ["python", "-m", "lstm_lm", "train"]
    again = here(*words[3:])
    assert again.status == 0, again.err
    [run] = Path("outputs/again").iterdir()
    assert json.loads((run / "summary.json").read_text())["train"]["loss"] == float(first["train.loss"])


@pytest.mark.matrix
def test_run_again_it_does_only_what_is_missing(
    done: tuple[Path, Said], corpus: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed, and what is not there any more; not what is done, nor what cannot be done on this machine."""
    folder, _ = done
    plant(monkeypatch)
    monkeypatch.chdir(folder)
    lost = completed(folder, "plain")[0]
    [record] = (folder / FOLDER / "rows").glob(f"*_{lost['row']}/{lost['repetition']}.json")
    record.unlink()
    before = logs(folder)
    said = in_process([*ROWS, *corpus])
    after = logs(folder)
    again = {path.parent.name[-12:] for path in after if before.get(path) != after[path]}
    assert len([path for path in after if before.get(path) != after[path]]) == 3
    assert again == {lost["row"], next(line["row"] for line in table(folder) if line["arm"] == "wrong")}
    assert "8 runs; 5 done before" in said.out
    assert "4 completed, 2 failed, 2 skipped" in said.out


@pytest.mark.matrix
@pytest.mark.posix
def test_a_signal_ends_it_with_a_report_and_run_again_it_finishes_the_rest(tmp_path: Path, corpus: list[str]) -> None:
    argv = [*ROWS, *corpus, "precision=32-true,64-true", "compile=none", "study.repetitions=1"]
    argv[argv.index("study.repetitions=2")] = "study.timeout_minutes=2"
    command = [sys.executable, str(ROOT / "train.py"), *argv]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    deadline = time.monotonic() + 60
    while len(logs(tmp_path)) < 2 and time.monotonic() < deadline:  # the second row has begun
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, (out, err)
    assert "## Not done yet" in page(tmp_path)
    assert sorted(line["status"] for line in table(tmp_path)) == ["completed", "not done"]
    before = logs(tmp_path)
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=120)
    assert again.returncode == 0, again.stderr
    assert [line["status"] for line in table(tmp_path)] == ["completed", "completed"]
    after = logs(tmp_path)
    assert len([path for path in after if before.get(path) != after[path]]) == 1


def test_without_m_it_says_what_to_type(here: Here) -> None:
    said = here("train", "study=precision_compile", "seed=3")
    assert said.refused() == (
        "error: study=precision_compile: a study is a sweep: it needs -m\n"
        "type: lstm-lm train -m study=precision_compile\n"
    )
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["study=nope"], "study=nope: no such option"),
        (["study=precision_compile,precision_compile"], "one study at a time"),
        (["study=precision_compile", "seed=1,2"], "seed: study=precision_compile does not sweep over this key"),
        (["study=precision_compile", "study.size=huge"], "study.size=huge: no such size"),
        (["study=precision_compile", "model.hidden_size=-1"], "model.hidden_size=-1"),
        (["study=precision_compile", "hydra.run.dir=x"], "a study takes no other key of Hydra than hydra.sweep.dir"),
        (["study=precision_compile", "hydra.sweep.dir=/proc/x"], "hydra.sweep.dir"),
        (["study=precision_compile", "nonsense"], "nonsense: not of the form KEY=VALUE"),
        (["study=precision_compile", "model.hidden_size=[1"], "model.hidden_size=[1"),
    ],
)
def test_what_is_wrong_is_refused_before_a_row_runs(argv: list[str], message: str, here: Here) -> None:
    assert message in here("train", "-m", *argv).refused()
    assert not Path("outputs").exists()


def test_the_configuration_of_a_study_can_be_shown(here: Here) -> None:
    said = here("train", "study=precision_compile", "--cfg", "job")
    assert said.status == 0
    assert "arms:" in said.out
