"""A run directory from anywhere: whatever its files are, each is read, or refused in a line, and soon."""

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from forging import soon
from run_folders import make_run

from lstm_lm.errors import UserError
from lstm_lm.runs import checkpoint_file, evaluation_file, lookup, metrics_file, summary
from lstm_lm.runs.configuration import differences, read_config
from lstm_lm.runs.curves import read_curves
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.json_file import read_json
from lstm_lm.runs.listing import Entry, list_runs
from lstm_lm.runs.regular_file import open_regular, read_regular
from lstm_lm.runs.selection import Where, select
from lstm_lm.sweeps import records
from lstm_lm.sweeps.results import _read

pytestmark = pytest.mark.posix


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def sparse(path: Path) -> None:
    """A terabyte that takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(2**40)


def text(content: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(content, encoding="utf-8")

    return write


SPECIAL: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo if hasattr(os, "mkfifo") else Path.mkdir,
    "folder": Path.mkdir,
    "endless device": endless,
    "link to itself": lambda path: path.symlink_to(path.name),
    "terabyte": sparse,
}
BILLION = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"a{number}: &a{number} [{','.join([f'*a{number - 1}'] * 10)}]\n" for number in range(1, 10)
)
DOUBLED = "a: 0123456789\n" + "".join(
    f"{name}: '${{{before}}}${{{before}}}'\n"
    for before, name in zip("abcdefghijklmnopqrstuvwxy", "bcdefghijklmnopqrstuvwxyz", strict=True)
)
MULTIPLIED = "".join(f"a{n}: {{x: '${{a{n + 1}}}', y: '${{a{n + 1}}}'}}\n" for n in range(30)) + "a30: 1\n"
CONFIGS = {
    "aliases of aliases": BILLION,
    "an alias of itself": "a: &a [*a]\n",
    "deep": "a: " + "[" * 5000 + "]" * 5000,
    "deep and cut off": "{a: " * 100_000,
    "many values": "a: [" + "1," * 200_000 + "]",
    "strings that double": DOUBLED,
    "sections that double": MULTIPLIED,
    "references in a ring": "a: ${b}\nb: ${a}\n",
    "a long number": "a: " + "9" * 5000,
    "a number in base 60": "a: " + "1:" * 500_000 + "1\n",
    "a number in base 16": "a: 0x" + "f" * 5000 + "\n",
    "a number of nothing": 'a: !!int ""\n',
    "a date": "a: 2020-99-99\n",
    "bytes": "a: !!binary xx\n",
    "an object": "a: !!python/object/apply:os.getcwd []\n",
    "the name of a list": "? [1, 2]\n: 3\n",
    "a lone surrogate": 'a: "\\ud800"\n',
}
DOCUMENTS = {
    "deep": "[" * 100_000 + "]" * 100_000,
    "deeper than any": '{"status": ' + '{"a":' * 900 + "1" + "}" * 901,
    "long numbers": json.dumps({"status": "completed", "model": {"parameters": 10**400}}).replace(
        "{", '{"seed": -' + "9" * 5000 + ', "val": {"loss": 1e999, "bits_per_byte": ' + "9" * 600 + "}, ", 1
    ),
    "no numbers": '{"status": "completed", "train": {"loss": NaN}, "val": {"loss": Infinity, "perplexity": -Infinity}}',
    "other types": '{"status": [], "model": 3, "data": {"name": {}}, "train": {"steps": true}}',
    "a lone surrogate": '{"status": "failed", "reason": "\\ud800\\u001b[2J"}',
}
TABLES = {
    "an endless line": "step," + "a" * 10_000_000,
    "many columns": "step," + ",".join(map(str, range(200_000))) + "\n",
    "many columns in short": "step," + ",".join(map(str, range(5_000))) + "\n" + "1" + "," * 5_000 + "\n",
    "long numbers": "step,train/loss,epoch\n" + "9" * 400 + ",1,1\n",
    "longer numbers": "step,train/loss,epoch\n1," + "9" * 4000 + "," + "9" * 400 + "\n",
    "no numbers": "step,train/loss,val/loss,epoch,train/seconds\n1,nan,inf,nan,nan\n2,-inf,nan,inf,inf\n",
    "an open quote": 'step,a\n1,"' + "2\n" * 200_000,
}


def everything(run: RunDirectory) -> list[Entry]:
    """Read a run in all the ways there are; each may refuse it. Gives the lines of the list."""
    readers: list[Callable[[], object]] = [
        lambda: summary.read(run.summary),
        lambda: evaluation_file.read(run.evaluation),
        lambda: metrics_file.read(run.metrics),
        lambda: metrics_file.MetricsFile(run.metrics),
        lambda: differences([read_config(run), {}]),
        lambda: lookup.newest_usable(run),
        lambda: lookup.resolve(str(run.path), None, run.path.parent, lambda line: None),
        lambda: checkpoint_file.load(run.best),
        lambda: records.read(run.summary.with_suffix("")),
        lambda: _read(run.evaluation),
        run.is_empty,
        *(lambda over=over: read_curves(run, "loss", over) for over in ("steps", "tokens", "seconds")),
    ]
    for reader in readers:
        with contextlib.suppress(UserError):
            reader()
    entries = list_runs(run.path.parent)
    for order in ("size", "loss", "-speed", "age", "steps"):
        select(entries, Where(), order)
    return entries


@pytest.mark.parametrize(
    "name",
    [
        "summary.json",
        "metrics.csv",
        "evaluation.json",
        ".hydra/config.yaml",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    ],
)
@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_regular_file(kind: str, name: str, tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "hostile", config="seed: 1\n", metrics={1: {"train/loss": 2.0}})
    file = run.path / name
    file.unlink(missing_ok=True)
    SPECIAL[kind](file)
    with soon():
        (entry,) = everything(run)
    assert entry.run == "hostile"


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_configuration_that_expands(kind: str, tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "hostile", config=CONFIGS[kind])
    run.summary.unlink()  # so that the list asks the configuration
    with soon():
        assert len(everything(run)) == 1


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_json_that_is_no_summary(kind: str, tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "hostile")
    run.summary.write_text(DOCUMENTS[kind])
    run.evaluation.write_text(DOCUMENTS[kind])
    with soon():
        (entry,) = everything(run)
    assert entry.loss is None
    assert entry.parameters is None or entry.parameters < 2**63


@pytest.mark.parametrize("kind", TABLES)
def test_metrics_that_are_none(kind: str, tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "hostile", status="running", loss=None)
    run.metrics.write_text(TABLES[kind])
    with soon():
        (entry,) = everything(run)
    assert entry.loss is None


def test_a_reference_to_another_key_is_followed_and_nothing_else_is_resolved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment, for one, is none of a foreign file's business."""
    monkeypatch.setenv("SECRET", "not to be told")
    config = "a: {b: 3, c: '${.b}', d: '${a.c}', e: '${oc.env:SECRET}', f: 'x ${a.b}', g: '${a}'}\n"
    read = read_config(make_run(tmp_path / "a", config=config))
    assert read == {"a": {"b": 3, "c": 3, "d": 3, "e": "${oc.env:SECRET}", "f": "x ${a.b}", "g": "${a}"}}


def test_links_to_files_are_followed_to_others_not(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("there")
    (tmp_path / "device").symlink_to("/dev/null")
    assert read_regular(tmp_path / "link") == b"abc"
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(tmp_path / "device")
    assert read_regular(tmp_path / "there", 3) == b"abc"
    with pytest.raises(OSError, match="larger than 2 bytes"):
        read_regular(tmp_path / "there", 2)


@pytest.mark.linux
def test_a_size_that_is_not_true_is_not_believed() -> None:
    """Files of /proc say that they are empty."""
    assert os.stat("/proc/self/maps").st_size == 0
    with pytest.raises(OSError, match="larger than 10 bytes"):
        read_regular(Path("/proc/self/maps"), 10)


def test_every_number_of_json_is_finite(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(f"[1, -2.5, NaN, Infinity, 1e999, {10**17}, {10**30}, -{10**400}]")
    assert read_json(tmp_path / "a") == [1, -2.5, None, None, None, 10**17, 1e30, None]
