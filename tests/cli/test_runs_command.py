"""`runs`: a table for people, CSV and JSON for programs, differences, pictures; and nothing is changed anywhere."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_commands import ROOT, Here, Said
from run_folders import make_run

from lstm_lm.cli.main import main
from lstm_lm.runs import summary
from lstm_lm.runs.directory import RunDirectory

CURVE = {10: {"train/loss": 3.0, "train/seconds": 0.2, "epoch": 1.0}, 20: {"train/loss": 2.0, "val/loss": 2.1}}


@pytest.fixture
def runs(here: Here, own_folder: Path) -> Callable[..., Said]:
    """`runs` where there are four: from last to first, `failed`, two of a sweep, `novel`."""
    config = "seed: 1\nmodel: {name: lstm, hidden_size: 32}\n"
    made = [
        make_run(own_folder / "outputs" / "novel", data="novel, part 1", loss=1.5, speed=900.0, config=config),
        make_run(own_folder / "outputs/sweeps/s/1_h=32", loss=1.25, config=config, metrics=CURVE, command="h=32"),
        make_run(
            own_folder / "outputs/sweeps/s/2_h=64",
            loss=1.75,
            config=config.replace("32", "64"),
            metrics=CURVE,
            parameters=5_000_000,
        ),
        make_run(own_folder / "outputs" / "failed", status="failed", model="gru", loss=None, speed=None),
    ]
    for number, run in enumerate(made):
        for path in (run.summary, run.metrics):
            if path.exists():
                os.utime(path, (1e9 + number, 1e9 + number))
    return lambda *argv: here("runs", *argv)


def listed(said: Said) -> list[str]:
    """The last column of the table."""
    assert said.status == 0, said
    return [line.split()[-1] for line in said.out.splitlines()[1:]]


def test_the_table(runs: Callable[..., Said]) -> None:
    said = runs()
    assert said.err == ""
    assert listed(said) == ["failed", "sweeps/s/2_h=64", "sweeps/s/1_h=32", "novel"]
    heading, _, second, _, last = (" ".join(line.split()) for line in said.out.splitlines())
    assert heading == "status data model size val loss bits/byte tokens/s age run"
    assert second.startswith("completed text lstm 5.00 M 1.7500 2.625 100 ")
    assert last.startswith("completed novel, part 1 lstm 1.00 k 1.5000 2.250 900 ")


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        (["status=failed"], ["failed"]),
        (["status=completed", "data=text"], ["sweeps/s/2_h=64", "sweeps/s/1_h=32"]),
        (["data=novel, part 1"], ["novel"]),
        (["where.data=novel*"], ["novel"]),
        (["model=[gru,lstm]", "sort=loss"], ["sweeps/s/1_h=32", "novel", "sweeps/s/2_h=64", "failed"]),
        (["folder=sweeps/s", "sort=-loss"], ["sweeps/s/2_h=64", "sweeps/s/1_h=32"]),
        (["match=H=64"], ["sweeps/s/2_h=64"]),
        (["sort=-speed", "limit=1"], ["novel"]),
        (["sort=-size", "limit=1"], ["sweeps/s/2_h=64"]),
        (["runs=[novel,2_h=64]"], ["sweeps/s/2_h=64", "novel"]),
        (["runs=novel"], ["novel"]),
        (["runs_dir=outputs/sweeps", "limit=null"], ["s/2_h=64", "s/1_h=32"]),
    ],
)
def test_which_and_in_what_order(typed: list[str], left: list[str], runs: Callable[..., Said]) -> None:
    assert listed(runs(*typed)) == left


def test_what_a_limit_leaves_out_is_counted(runs: Callable[..., Said]) -> None:
    assert runs("limit=1").err == "3 more: limit=null shows all\n"


def test_nothing_to_show_is_said_and_is_no_error(runs: Callable[..., Said], own_folder: Path) -> None:
    said = runs("status=skipped")
    assert (said.status, said.out, said.err) == (0, "", "none of the 4 runs below outputs fits\n")
    (own_folder / "empty").mkdir()
    assert "python train.py" in runs("runs_dir=empty").err


def test_programs_get_every_field(runs: Callable[..., Said]) -> None:
    found = json.loads(runs("format=json", "sort=loss").out)
    assert [run["loss"] for run in found] == [1.25, 1.5, 1.75, None]
    assert found[3]["reason"] == "because"
    assert found[1]["modified"] == "2001-09-09T01:46:40+00:00"
    rows = list(csv.DictReader(io.StringIO(runs("format=csv", "sort=loss").out)))
    assert [row["loss"] for row in rows] == ["1.25", "1.5", "1.75", ""]
    assert list(rows[0]) == list(found[0])
    assert rows[1]["data"] == "novel, part 1"


def test_programs_get_a_list_where_nothing_fits(runs: Callable[..., Said]) -> None:
    assert json.loads(runs("format=json", "status=skipped").out) == []
    assert len(runs("format=csv", "status=skipped").out.splitlines()) == 1


def test_differences_between_configurations(runs: Callable[..., Said]) -> None:
    said = runs("diff=[1_h=32,2_h=64]")
    assert [line.split() for line in said.out.splitlines()] == [
        ["key", "1_h=32", "2_h=64"],
        ["model.hidden_size", "32", "64"],
    ]
    assert json.loads(runs("diff=[1_h=32,2_h=64]", "format=json").out) == {
        "runs": ["1_h=32", "2_h=64"],
        "differences": {"model.hidden_size": ["32", "64"]},
    }
    assert runs("diff=[1_h=32,2_h=64]", "format=csv").out == "key,1_h=32,2_h=64\nmodel.hidden_size,32,64\n"
    same = runs("diff=[1_h=32,outputs/novel]")
    assert (same.out, same.err) == ("", "their configurations are the same\n")


def test_what_tuning_chose_is_part_of_a_configuration(runs: Callable[..., Said], own_folder: Path) -> None:
    """The file holds what was typed alone."""
    run = RunDirectory(own_folder / "outputs/sweeps/s/1_h=32")
    done = summary.read(run.summary)
    done.tuning = summary.TuningSummary(name="budget", chosen={"model.hidden_size": 192}, seconds=3.0)
    done.write(run.summary)
    assert runs("diff=[1_h=32,2_h=64]", "format=csv").out == "key,1_h=32,2_h=64\nmodel.hidden_size,192,64\n"


@pytest.mark.parametrize("over", ["steps", "tokens", "seconds"])
def test_a_picture_of_several_runs(over: str, runs: Callable[..., Said], own_folder: Path) -> None:
    said = runs("plot=it's (a) plot.png", "folder=sweeps", f"over={over}", "title=$ [1, 2")
    assert (said.status, said.out, said.err) == (0, "", "it's (a) plot.png: 2 runs\n")
    assert (own_folder / "it's (a) plot.png").read_bytes().startswith(b"\x89PNG")


def test_runs_without_curves_are_left_out_and_named(runs: Callable[..., Said]) -> None:
    said = runs("plot=all.png")
    assert said.status == 0, said
    left_out, others, told = said.err.splitlines()
    assert "failed" in left_out
    assert "1 on other texts" in others
    assert told == "all.png: 2 runs"


def test_runs_on_several_texts_are_drawn_where_they_are_asked_for(here: Here, own_folder: Path) -> None:
    for number, data in enumerate(("novel", "novel", "letters")):
        run = make_run(own_folder / "outputs" / str(number), data=data, metrics=CURVE)
        os.utime(run.summary, (1e9 + number, 1e9 + number))
        os.utime(run.metrics, (1e9 + number, 1e9 + number))
    others, told = here("runs", "plot=newest.png").err.splitlines()
    assert "2 on other texts" in others
    assert told == "newest.png: 1 run"
    assert here("runs", "plot=novel.png", "data=novel").err == "novel.png: 2 runs\n"
    assert here("runs", "plot=named.png", "runs=[0,2]").err == "named.png: 2 runs\n"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["runs_dir=nowhere"], ["nowhere", "python train.py"]),
        (["runs=nowhere"], ["runs=nowhere", "sweeps/s/2_h=64"]),
        (["sort=lose"], ["sort=lose", "loss"]),
        (["limit=0"], ["limit=0"]),
        (["format=xml"], ["format='xml'", "csv"]),
        (["diff=novel"], ["diff=[A,B]"]),
        (["diff=[novel,nowhere]"], ["diff=nowhere"]),
        (["diff=[novel,failed]"], ["failed", "config.yaml"]),
        (["diff=[novel,1_h=32]", "plot=a.png"], ["one at a time"]),
        (["plot=a.pptx"], ["plot=a.pptx", ".png or .pdf or .svg"]),
        (["plot=nowhere/a.png"], ["nowhere"]),
        (["plot=a.png", "status=skipped"], ["no run to draw"]),
        (["plot=a.png", "metric=nothing"], ["train/nothing", "2 more"]),
        (["plot=a.png", "metric=nothing", "folder=sweeps"], ["train/nothing", "known: loss"]),
        (["plot=a.png", "runs=novel"], ["novel", "logged nothing"]),
        (["plot=a.png", "over=days"], ["over='days'", "seconds"]),
        (["-m", "sort=loss,age"], ["no sweeps"]),
        (["staus=failed"], ["staus: no such key", "status"]),
    ],
)
def test_what_is_wrong_is_told_in_a_few_lines(
    typed: list[str], told: list[str], runs: Callable[..., Said], own_folder: Path
) -> None:
    said = runs(*typed)
    assert said.out == ""
    message = said.refused()
    for words in told:
        assert words in message
    assert not list(own_folder.glob("*.p*"))


def test_too_many_curves_are_refused(here: Here, own_folder: Path) -> None:
    for number in range(29):
        make_run(own_folder / "outputs" / str(number), metrics=CURVE)
    assert "limit=10" in here("runs", "plot=a.png").refused()
    assert here("runs", "plot=a.png", "limit=28").status == 0
    assert "overwrite=true" in here("runs", "plot=a.png", "limit=28").refused()
    assert here("runs", "plot=a.png", "limit=28", "overwrite=true").status == 0


def test_nothing_changes(runs: Callable[..., Said], own_folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in own_folder.rglob("*")}
    for typed in ([], ["format=csv"], ["diff=[1_h=32,2_h=64]"]):
        assert runs(*typed).status == 0
    assert {path: path.stat().st_mtime_ns for path in own_folder.rglob("*")} == before


def test_a_list_needs_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys; from lstm_lm.cli.main import main; main(['runs', 'runs_dir=.', 'format=json']);"
        "print([name for name in ('torch', 'lightning', 'matplotlib', 'numpy') if name in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, check=True
    ).stdout
    assert out.endswith("[]\n")


def test_a_status_that_there_is_not_is_refused(runs: Callable[..., Said]) -> None:
    said = runs("status=complete")
    assert said.status == 2
    assert "status=complete is none of running, completed" in said.err


@pytest.mark.parametrize(
    ("encoding", "errors", "name", "written"),
    [
        ("utf-8", "strict", b"run-\xff", b"run-\xff"),
        ("ascii", "surrogateescape", b"run-\xff", b"run-\xff"),  # as with LC_ALL=C
        ("cp1252", "strict", "run-日".encode(), b"run-?"),  # as in a pipe on Windows, whose paths hold no odd bytes
    ],
)
@pytest.mark.linux
def test_a_path_is_written_byte_by_byte_where_that_can_be(
    encoding: str, errors: str, name: bytes, written: bytes, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(own_folder / "outputs" / os.fsdecode(name))
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding=encoding, errors=errors))
    assert main(["runs", "format=csv"]) == 0
    assert written in output.getvalue()


def test_the_configuration_of_anothers_run_makes_no_directory(here: Here, own_folder: Path) -> None:
    for name in ("a", "b"):
        record = own_folder / "outputs" / name / ".hydra" / "config.yaml"
        record.parent.mkdir(parents=True)
        record.write_text(f"x: ${{fresh_dir:{own_folder / 'made'}/{name}}}")
        (own_folder / "outputs" / name / "summary.json").write_text("{}")
    assert here("runs", "diff=[outputs/a,outputs/b]").status == 0
    assert not (own_folder / "made").exists()


@pytest.mark.posix
def test_a_foreign_run_is_listed_and_compared(own_folder: Path, here: Here) -> None:
    names = ("x\x1b[2J[red]", "y\x07\u202e")
    for name in names:
        run = RunDirectory(own_folder / "outputs" / name)
        run.create()
        run.summary.write_text(
            '{"status": "failed\\u001b[2J", "reason": "\\ud800\\u009b", '
            '"command": "\\u0007", "data": {"name": "[/x]\\u001b"}}'
        )
        run.config.parent.mkdir()
        run.config.write_text(f'seed: "{name.encode("unicode_escape").decode()}"\n')
    listed = here("runs")
    assert listed.status == 0, listed.err
    assert r"x\x1b[2J[red]" in listed.out
    assert "[/x]" in listed.out
    for format in ("csv", "json"):
        assert here("runs", f"format={format}").status == 0
    compared = here("runs", "diff=[" + ",".join(f"'outputs/{name}'" for name in names) + "]")
    assert compared.status == 0, compared.err
    for said in (listed, compared):
        assert not any(character in said.out + said.err for character in "\x1b\x9b\x07\u202e")
