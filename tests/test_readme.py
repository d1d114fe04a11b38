"""Every command that the README and the guides show: run where this machine can, composed where it cannot."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tiers import first

import lstm_lm
from lstm_lm.cli.main import main
from lstm_lm.training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCUMENTS = [README, *sorted((ROOT / "docs" / "guide").glob("*.md"))]
MOST_WORDS = 900
"""Of the README, outside code."""
TEXT = "".join(
    f"It was a bright day, and the clocks were striking {hour}. The street smelt of rain and of bread.\n"
    for hour in range(300)
)
SHORT = {
    "train.py": ["trainer.max_steps=4", "trainer.limit_val_batches=2", "callbacks.samples.length=10"],
    "budget=10m": ["budget=45s"],
    "generate.py": ["max_new_tokens=20"],
    "method=context": ["method.positions=50"],
    "method=dynamic": ["method.tuning_tokens=200", "method.statistics_segments=20"],
}
"""Added to what the README says, so that a command is tried in seconds; the rest of it stays as it is."""
ELSEWHERE = {
    "pip": "the checks' own script (.ci/run) installs by these very commands before it calls the tests",
    "pytest": "this is it",
    "tensorboard": "a server",
    "cd": "the reader's shell",
    "git": "the web",
}
WEB_OR_GPU = ("data=tinyshakespeare", "experiment=shakespeare_quick", "accelerator=gpu", "device=gpu")


every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(encoding="utf-8"), flags=re.DOTALL)


def commands(document: Path) -> list[str]:
    """The lines of its shell blocks, in order, split at `&&`, without comments."""
    lines = [line.split("  #")[0].strip() for block in blocks(document, "bash") for line in block.splitlines()]
    return [part.strip() for line in lines if line for part in line.split("&&")]


def test_the_two_commands_come_first() -> None:
    first_screen = "\n".join(README.read_text(encoding="utf-8").splitlines()[:40])
    assert "pip install -e . && python train.py" in first_screen
    assert 'pip install -e ".[dev]" && pytest' in first_screen


def test_the_readme_is_read_in_minutes() -> None:
    outside_code = re.sub(r"(?ms)^```.*?^```", "", README.read_text(encoding="utf-8"))
    assert len(outside_code.split()) <= MOST_WORDS


@every_document
def test_every_command_is_of_a_kind_that_is_tried(document: Path) -> None:
    kinds = {shlex.split(command)[0] for command in commands(document)}
    assert kinds <= {"python", "lstm-lm", *ELSEWHERE}


@every_document
def test_every_command_composes(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in commands(document):
        program, *arguments = shlex.split(command.partition(" <")[0].replace("-m lstm_lm ", ""))
        if program in ELSEWHERE:
            continue
        verb, *typed = (argument.removesuffix(".py") for argument in arguments)
        if "-m" in typed:  # the first job of a sweep
            typed = [argument.partition(",")[0] for argument in typed if argument != "-m"]
        assert main([verb, *typed, "--cfg", "job"]) == 0, command


def test_commands_for_the_web_or_a_gpu_are_accepted() -> None:
    every = [command for document in DOCUMENTS for command in commands(document)]
    found = [shlex.split(command) for command in every if any(mark in command for mark in WEB_OR_GPU)]
    assert found
    for _, script, *overrides in found:
        assert script == "train.py"
        TrainConfig.parse(lstm_lm.compose(*overrides))


@pytest.mark.posix
@pytest.mark.matrix
@every_document
def test_every_other_command_runs_one_after_the_other(document: Path, tmp_path: Path) -> None:
    """In a folder with a run, which stands for the reader's newest."""
    for script in ("train.py", "generate.py"):
        (tmp_path / script).symlink_to(ROOT / script)
    for name in set(re.findall(r"[\w.]+\.txt", " ".join(commands(document)))):
        (tmp_path / name).write_text(TEXT, encoding="utf-8")
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    for command in ["python train.py", *commands(document)]:
        program, *arguments = shlex.split(command)
        if program in ELSEWHERE or any(mark in command for mark in WEB_OR_GPU):
            continue
        standard_input = None
        if "<" in arguments:
            standard_input = (tmp_path / arguments.pop()).read_text(encoding="utf-8")
            arguments.remove("<")
        shorter = [key for argument in arguments for key in SHORT.get(argument, [])]
        if "budget=10m" in arguments:
            shorter.remove("trainer.max_steps=4")  # it chooses the length
        result = subprocess.run(
            [sys.executable, *arguments, *shorter],
            cwd=tmp_path,
            env=environment,
            input=standard_input or "",
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
        assert program == "python"


@pytest.mark.parametrize(
    "document", first([README, ROOT / "docs" / "guide" / "results.md"]), ids=lambda document: document.stem
)
def test_the_python_example_runs(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = blocks(document, "python")
    (tmp_path / "my_novel.txt").write_text(TEXT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    exec(example, {})
    assert capsys.readouterr().out.startswith("It was")
