"""`generate`: the text, all of it and nothing else, on standard output; no file anywhere."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli_commands import ROOT, Apart, Here, Said
from tiers import smallest

from lstm_lm.cli.main import main

PROMPT = "the quick brown fox"


@pytest.fixture
def generate(here: Here, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """`generate` in the folder that holds a run."""
    monkeypatch.chdir(trained)

    def run(*argv: str) -> Said:
        return here("generate", "device=cpu", "seed=1", "max_new_tokens=30", *argv)

    return run


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_the_prompt_and_its_continuation(trained: Path, apart: Apart) -> None:
    before = everything(trained)
    said = apart("generate.py", f"prompt={PROMPT}", "max_new_tokens=30", "seed=1", "device=cpu", cwd=trained)
    assert said.status == 0, said.err
    assert said.out.startswith(PROMPT)
    assert said.out.endswith("\n")
    assert len(said.out.removesuffix("\n")) in (len(PROMPT) + 29, len(PROMPT) + 30)
    assert "best.ckpt" in said.err
    assert everything(trained) == before, "no files"


def test_the_same_seed_writes_the_same_text(generate: Here) -> None:
    first, again = generate(f"prompt={PROMPT}"), generate(f"prompt={PROMPT}")
    assert first.out == again.out
    assert generate(f"prompt={PROMPT}", "seed=2").out != first.out


WAYS = [
    "forward=stepwise",
    "forward=fused",
    "precision=bf16-true",
    "precision=64-true",
    "temperature=0",
    "top_k=3",
    "top_p=0.5",
    "min_p=0.1",
    "ckpt_path=last",
    "ckpt_path=best",
]


@pytest.mark.parametrize(
    "how", smallest(WAYS, "forward=stepwise", "precision=bf16-true", "temperature=0", "top_p=0.5", "ckpt_path=last")
)
def test_every_way_to_write(how: str, generate: Here) -> None:
    said = generate(f"prompt={PROMPT}", how)
    assert said.status == 0, said.err
    assert said.out.startswith(PROMPT)


def test_device_precision_and_forward_together(generate: Here) -> None:
    assert generate("device=cpu", "precision=bf16-true", "forward=stepwise").status == 0


def test_a_run_by_name_by_path_and_a_checkpoint_by_file(generate: Here, trained: Path) -> None:
    [run] = (trained / "outputs").iterdir()
    newest = generate(f"prompt={PROMPT}").out
    assert generate(f"prompt={PROMPT}", f"run={run.name}").out == newest
    assert generate(f"prompt={PROMPT}", f"run={run}").out == newest
    assert generate(f"prompt={PROMPT}", f"ckpt_path={run / 'checkpoints' / 'best.ckpt'}").out == newest


@pytest.mark.parametrize("prompt", smallest([" the ", "the\nfox", "fox\n\n", ""], "fox\n\n", ""))
def test_blanks_and_newlines_of_the_prompt_stay(prompt: str, generate: Here) -> None:
    said = generate(f"prompt={prompt}", "max_new_tokens=0")
    assert said.status == 0, said.err
    assert said.out.removesuffix("\n") == prompt.removesuffix("\n")


ODD = ["What's (this)", "42", "null", "true", "[a,b]", "x=${seed}", "'q'", "a, b \\"]


@pytest.mark.parametrize("prompt", smallest(ODD, "What's (this)", "null", "x=${seed}"))
def test_any_prompt_reaches_the_model(prompt: str, generate: Here) -> None:
    said = generate(f"prompt={prompt}", "unknown=skip", "max_new_tokens=0")
    assert said.status == 0, said.err
    assert said.out == f"{prompt}\n"


def test_a_prompt_from_a_file_and_from_standard_input(
    generate: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "it's a prompt, really.txt"
    file.write_text(PROMPT)
    typed = generate(f"prompt={PROMPT}").out
    assert generate(f"prompt_file={file}").out == typed
    with file.open("rb") as piped, io.TextIOWrapper(piped) as standard_input:
        monkeypatch.setattr(sys, "stdin", standard_input)
        assert generate("prompt_file=-").out == typed


def test_several_texts_one_after_the_other(generate: Here) -> None:
    said = generate(f"prompt={PROMPT}", "num_samples=3")
    assert said.status == 0, said.err
    assert said.out.count(PROMPT) >= 3
    assert [line for line in said.err.splitlines() if line.startswith("---")] == [
        f"--- sample {number} of 3" for number in (1, 2, 3)
    ]


def test_stop_texts(generate: Here) -> None:
    whole = generate(f"prompt={PROMPT}", "temperature=1").out.removeprefix(PROMPT)
    stop = whole[5]
    said = generate(f"prompt={PROMPT}", "temperature=1", f"stop={stop}")
    assert said.out.removeprefix(PROMPT).removesuffix("\n") == whole[: whole.index(stop)]
    both = generate(f"prompt={PROMPT}", "temperature=1", f"stop=['{stop}',never]")
    assert both.out == said.out


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["prompt=Ä"], ["'Ä'", "unknown=skip"]),
        (["temperature=-1"], ["temperature=-1", "greater than or equal to 0"]),
        (["top_p=0"], ["top_p=0"]),
        (["max_new_tokens=many"], ["max_new_tokens"]),
        (["num_samples=0"], ["num_samples=0"]),
        (["run=nowhere"], ["run=nowhere"]),
        (["ckpt_path=nowhere.ckpt"], ["nowhere.ckpt"]),
        (["runs_dir=nowhere"], ["nowhere", "python train.py"]),
        (["prompt_file=nowhere.txt"], ["nowhere.txt"]),
        (["precision=16-mixed"], ["16-mixed", "32-true"]),
        (["forward=magic"], ["forward=magic: no such option", "fused"]),
        (["device=tpu"], ["device=tpu: no such option", "cpu"]),
        (["tempreature=1"], ["tempreature: no such key", "temperature"]),
        (["-m", "seed=1,2"], ["num_samples"]),
        (["interactive=true", "num_samples=2"], ["num_samples=2"]),
        (["interactive=true", "prompt_file=-"], ["standard input"]),
    ],
)
def test_what_is_wrong_is_told_in_a_few_lines(typed: list[str], told: list[str], generate: Here) -> None:
    said = generate(*typed)
    assert said.out == ""
    message = said.refused() if "Ä" not in typed[0] else said.err
    assert said.status == 2
    for words in told:
        assert words in message


def test_a_checkpoint_of_something_else(generate: Here, tmp_path: Path) -> None:
    (tmp_path / "other.ckpt").write_bytes(b"not a checkpoint")
    assert "not a checkpoint" in generate(f"ckpt_path={tmp_path / 'other.ckpt'}").refused()


def test_a_reader_that_goes_away_is_no_error(trained: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "generate.py"), "max_new_tokens=1000000", "device=cpu"],
        cwd=trained,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    with process.stderr:
        err = process.stderr.read().decode()
    assert process.wait(timeout=60) == 128 + signal.SIGPIPE
    assert len(err.splitlines()) == 1, err


@pytest.mark.posix
@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_letter_that_cannot_be_shown_ends_no_text(
    errors: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """But a text that is not what the model wrote says so."""
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding="ascii", errors=errors, newline="\n"))
    monkeypatch.setattr("lstm_lm.cli.generate._write", lambda *_: print("日 is a day"))
    assert main(["generate"]) == 0
    assert output.getvalue() == b"? is a day\n"
    assert capsys.readouterr().err.startswith("1 character became '?'")


def test_text_is_written_as_it_comes(trained: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "generate.py"), "max_new_tokens=100000000", "device=cpu"],
        cwd=trained,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert len(process.stdout.read(200)) == 200
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in err
