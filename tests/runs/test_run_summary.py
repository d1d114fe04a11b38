"""`summary.json`: exactly the contract's fields, always whole, always JSON."""

import json
import math
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.runs import summary
from lstm_lm.runs.summary import JudgementSummary, SplitSummary, Summary, TuningSummary

FIELDS = {
    "schema_version": None,
    "command": None,
    "git_commit": None,
    "versions": None,
    "seed": None,
    "status": None,
    "reason": None,
    "model": {"name", "parameters"},
    "data": {"name", "title", "tokens", "vocabulary_size", "added_tokens"},
    "train": {"loss", "steps", "epochs", "seconds", "tokens_per_second", "step_ms"},
    "val": {"loss", "tokens", "perplexity", "bits_per_character", "bits_per_byte", "bits_per_byte_reason", "shares"},
    "test": {"loss", "tokens", "perplexity", "bits_per_character", "bits_per_byte", "bits_per_byte_reason", "shares"},
    "runtime": {
        "device",
        "precision",
        "forward",
        "forward_reason",
        "warnings",
        "compile_graphs",
        "graph_breaks",
        "compiled_fraction",
        "compile_seconds",
        "recompiles",
        "settings",
        "peak_memory_bytes",
        "startup_seconds",
    },
    "tuning": {"name", "chosen", "seconds", "speedup", "learning_rate", "reason", "typed"},
    "judgement": {
        "kind",
        "validations",
        "best_step",
        "loss",
        "rise",
        "gap",
        "fall",
        "fall_per",
        "noise",
        "frequencies_loss",
        "advice",
    },
    "loggers": None,
}


def running() -> Summary:
    return Summary(
        command="python train.py seed=1", git_commit=None, versions={"python": "3.12.1"}, seed=1, status="running"
    )


def test_the_fields_are_those_of_the_contract(tmp_path: Path) -> None:
    full = running()
    full.val, full.test = SplitSummary(), SplitSummary()
    full.tuning = TuningSummary(name="speed", chosen={"runtime.threads": 2}, seconds=20.0)
    full.judgement = JudgementSummary(kind="level")
    full.write(tmp_path / "summary.json")
    content = json.loads((tmp_path / "summary.json").read_text())
    assert list(content) == list(FIELDS)
    for name, nested in FIELDS.items():
        if nested is not None:
            assert set(content[name]) == nested


def test_what_is_not_known_yet_is_null(tmp_path: Path) -> None:
    running().write(tmp_path / "summary.json")
    content = json.loads((tmp_path / "summary.json").read_text())
    assert content["status"] == "running"
    assert content["val"] is None
    assert content["test"] is None
    for section in ("model", "data", "train", "runtime"):
        assert set(content[section].values()) == {None}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = running()
    written.status = "completed"
    written.model.parameters = 12
    written.train.loss = 1  # type: ignore[assignment]  # whole numbers are numbers
    written.val = SplitSummary(loss=0.1, perplexity=math.exp(0.1), bits_per_byte_reason="3 tokens were replaced")
    written.write(tmp_path / "summary.json")
    assert summary.read(tmp_path / "summary.json") == written


def test_non_finite_numbers_are_written_as_null(tmp_path: Path) -> None:
    written = running()
    written.train.loss = math.nan
    written.val = SplitSummary(loss=math.inf, perplexity=-math.inf)
    written.write(tmp_path / "summary.json")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads((tmp_path / "summary.json").read_text(), parse_constant=refuse)
    assert content["train"]["loss"] is None
    assert content["val"]["loss"] is None
    assert content["val"]["perplexity"] is None


def test_typing_errors_are_refused_at_once() -> None:
    changed = running()
    with pytest.raises(ValidationError):
        changed.status = "finished"  # type: ignore[assignment]
    with pytest.raises(ValidationError):
        changed.train.steps = 1.5  # type: ignore[assignment]
    with pytest.raises(ValidationError):
        SplitSummary(los=1.0)  # type: ignore[call-arg]


@pytest.mark.parametrize("status", ["skipped", "failed"])
def test_a_run_that_did_not_run_says_why(tmp_path: Path, status: summary.Status) -> None:
    changed = running()
    changed.status = status
    with pytest.raises(ValueError, match="needs a reason"):
        changed.write(tmp_path / "summary.json")
    changed.reason = "no GPU here"
    changed.write(tmp_path / "summary.json")
    assert summary.read(tmp_path / "summary.json").reason == "no GPU here"


def test_begin_fills_in_what_a_process_knows_at_its_start() -> None:
    begun = Summary.begin("python train.py", seed=3)
    assert (begun.command, begun.seed, begun.status) == ("python train.py", 3, "running")
    assert begun.git_commit == summary.git_commit()
    assert begun.versions == summary.versions()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"schema_version": "2"}',
        b'{"schema_version": 1}',
        b"null",
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "summary.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        summary.read(path)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"{path}: not a whole summary")
    assert len(lines) <= 4


def test_a_cut_off_file_is_refused_wherever_it_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    running().write(path)
    whole = path.read_bytes().rstrip()
    for kept in range(len(whole)):
        path.write_bytes(whole[:kept])
        with pytest.raises(UserError):
            summary.read(path)


def test_a_newer_version_is_named(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    running().write(path)
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 7'))
    with pytest.raises(UserError, match=r"written by a newer lstm-lm \(schema version 7\)"):
        summary.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        summary.read(tmp_path / "summary.json")


# Where the code comes from.


def git(folder: Path, *arguments: str) -> str:
    identity = {f"GIT_{role}_{what}": "x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **identity}
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


def checkout(root: Path, below: str) -> Path:
    """A repository with one commit, and where this module would lie in it."""
    module = root / below / "lstm_lm" / "runs" / "summary.py"
    module.parent.mkdir(parents=True)
    module.touch()
    git(root, "init", "-q")
    git(root, "commit", "-q", "--allow-empty", "-m", "start")
    return module


def test_the_commit_is_that_of_the_codes_own_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(summary, "__file__", str(checkout(tmp_path, "src")))
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as inside a git hook
    assert summary.git_commit() == git(tmp_path, "rev-parse", "HEAD")
    assert capfd.readouterr() == ("", "")


def test_an_installed_package_has_no_commit_even_inside_another_projects_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "__file__", str(checkout(tmp_path, ".venv/lib/python3.12/site-packages")))
    assert summary.git_commit() is None


def test_no_commit_without_git_or_before_the_first_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    module = tmp_path / "src" / "lstm_lm" / "runs" / "summary.py"
    monkeypatch.setattr(summary, "__file__", str(module))
    git(tmp_path, "init", "-q")
    assert summary.git_commit() is None
    monkeypatch.setenv("PATH", "")
    assert summary.git_commit() is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.posix
def test_a_git_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "__file__", str(checkout(tmp_path / "repository", "src")))
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(600)\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(slow.parent))
    monkeypatch.setattr(summary, "_GIT_SECONDS", 0.2)
    assert summary.git_commit() is None


def test_versions_name_what_figures_depend_on() -> None:
    found = summary.versions()
    assert found["python"] == platform.python_version()
    assert found["lstm-lm"] == lstm_lm.__version__
    for package in ("torch", "lightning", "hydra-core", "omegaconf"):
        version = found[package]
        assert version is not None
        assert version[0].isdigit()


def test_a_package_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "_PACKAGES", ("surely-not-installed",))
    assert summary.versions()["surely-not-installed"] is None
