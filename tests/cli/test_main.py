import subprocess
import sys

import pytest
from cli_commands import ROOT, Here

from lstm_lm import __version__
from lstm_lm.cli.main import VERBS


def test_help_names_every_verb(here: Here) -> None:
    said = here("--help")
    assert said.status == 0
    assert all(f"  {verb}" in said.out for verb in VERBS)


def test_no_verb_is_a_mistake_that_help_answers(here: Here) -> None:
    said = here()
    assert said.status == 2
    assert said.out == ""
    assert "usage: lstm-lm VERB" in said.err


def test_an_unknown_verb_names_those_there_are(here: Here) -> None:
    assert here("trian").refused() == f"error: trian: no such command\nchoose one of: {', '.join(VERBS)}\n"


@pytest.mark.parametrize("argv", [["--version"], *([verb, "--version"] for verb in VERBS)])
def test_version(argv: list[str], here: Here) -> None:
    assert here(*argv) == (0, f"lstm-lm {__version__}\n", "")


@pytest.mark.parametrize("verb", VERBS)
def test_a_verbs_help_is_short_and_has_examples(verb: str, here: Here) -> None:
    said = here(verb, "--help")
    assert said.status == 0
    assert said.out.startswith(f"usage: lstm-lm {verb} ")
    lines = said.out.splitlines()
    assert len(lines) <= (36 if verb == "train" else 24)
    assert max(map(len, lines)) <= 80
    examples = [number for number, line in enumerate(lines) if line.startswith(f"  lstm-lm {verb}")]
    assert len(examples) == 3
    assert examples == [2, 3, 4], "they come first"
    assert "${" not in said.out


@pytest.mark.parametrize("verb", ["train", "evaluate", "score", "embed"])
def test_the_help_of_what_reads_a_text_says_how_to_name_it(verb: str, here: Here) -> None:
    keys = here(verb, "--help").out.partition("\nKeys")[2]
    assert "data.path" in keys


@pytest.mark.parametrize(
    ("calls", "looked_for", "found"),
    [
        ([["--help"], ["trian"]], ["torch", "lightning", "hydra", "omegaconf", "rich"], []),
        ([["train", "--help"], ["train", "sed=1"]], ["torch", "lightning"], []),
        ([["generate", "runs_dir=nowhere"]], ["torch", "lightning", "tensorboard"], ["torch"]),
    ],
    ids=["help", "help of a command", "generate"],
)
def test_nothing_heavy_is_imported_in_vain(calls: list[list[str]], looked_for: list[str], found: list[str]) -> None:
    code = (
        f"import sys; from lstm_lm.cli.main import main; [main(call) for call in {calls}];"
        f"print([name for name in {looked_for} if name in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, check=True
    ).stdout
    assert out.endswith(f"{found}\n")


@pytest.mark.parametrize("argv", [["-h"], ["data=text", "--help"], ["--hel"]], ids=" ".join)
def test_help_is_answered_however_it_is_asked_for(argv: list[str], here: Here) -> None:
    assert here("train", *argv) == here("train", "--help")


def test_python_dash_m() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "lstm_lm", "--help"],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.startswith("usage: python -m lstm_lm VERB")
