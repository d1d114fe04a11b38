"""Nothing that is printed for people is wider than the terminal, but for what they copy, which is alone on its line."""

import shutil
from pathlib import Path

import pytest
from cli_commands import TINY, Here, Said

from lstm_lm.terminal import Terminal, say_labelled, say_whole
from lstm_lm.training.tuning import table

WIDTH = 80
LONG = "a_run_whose_name_alone_is_wider_than_a_terminal" * 2
VERBS = {
    "generate": ["generate", "max_new_tokens=20", "num_samples=2"],
    "evaluate": ["evaluate"],
    "evaluate context": ["evaluate", "method=context"],
    "evaluate dynamic": ["evaluate", "method=dynamic"],
    "score": ["score", "format=table", "data.path=lines.txt", f"html={LONG}.html", "unknown=skip"],
    "score to a file": ["score", "data.path=lines.txt", f"out={LONG}.csv", "unknown=skip"],
    "score a text": ["score", "format=table", "data.path=lines.txt", "unit=text", "unknown=skip"],
    "export": ["export", f"out={LONG}"],
    "export a page": ["export", "format=html", f"out={LONG}.html"],
    "embed": ["embed", "data.path=lines.txt", f"out={LONG}.npy", "unknown=skip", "projector=true"],
    "runs plot": ["runs", f"plot={LONG}.png"],
}
"""What is typed, by what it shows."""


@pytest.fixture(autouse=True)
def _narrow(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    (own_folder / "lines.txt").write_text("the lazy dog\n" + 40 * "the quick brown fox jumps " + "\nZ\n")


def too_wide(said: Said) -> list[str]:
    """Lines that are, and hold more than what is copied: a path that is there, or a command."""
    assert said.status == 0, said
    lines = [line for line in (said.out + said.err).splitlines() if len(line) > WIDTH]
    paths = [line for line in lines if Path(line.replace("JOB", "1_seed=1")).exists() or Path("outputs", line).exists()]
    return [line for line in lines if line not in paths and not line.startswith(("lstm-lm ", "tensorboard ", "hydra."))]


@pytest.mark.parametrize("shown", VERBS)
def test_what_uses_a_run_keeps_to_the_width(shown: str, here: Here, trained: Path) -> None:
    if shown == "export":
        pytest.importorskip("safetensors", reason="safetensors is not installed: the extra [export]")
    [run] = (trained / "outputs").iterdir()
    shutil.copytree(run, Path("outputs", LONG))
    said = here(*VERBS[shown])
    assert LONG in said.out + said.err
    assert too_wide(said) == []


def test_a_run_keeps_to_the_width(here: Here, corpus: list[str]) -> None:
    said = here("train", *TINY, *corpus, "trainer.max_steps=40", f"hydra.run.dir=outputs/{LONG}")
    assert f'\nlstm-lm generate run=outputs/{LONG} prompt="..."\n' in said.out
    assert too_wide(said) == []
    again = here("train", *TINY, *corpus, "trainer.max_steps=40", f"hydra.run.dir=outputs/{LONG}", "resume=auto")
    assert too_wide(again) == []


def test_a_sweep_keeps_to_the_width(jobs_here: None, here: Here, corpus: list[str]) -> None:
    said = here("train", "-m", *TINY, *corpus, "seed=1,2", f"hydra.sweep.dir=outputs/{LONG}")
    assert f"\ntensorboard --logdir outputs/{LONG}\n" in said.out
    assert too_wide(said) == []


def test_what_tuning_chose_is_alone_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    typed = "precision=bf16-mixed forward=pipelined +forward.calls=stack compile=reduce-overhead runtime.threads=12"
    found = {"name": "speed", "table": [], "typed": typed, "speedup": 1.234, "seconds": 123.4}
    table.show(found, Terminal())
    *told, line = capsys.readouterr().out.splitlines()
    assert line == typed
    assert max(map(len, told)) <= WIDTH


def test_words_are_never_broken(capsys: pytest.CaptureFixture[str]) -> None:
    say_labelled(Terminal(), "label", f"before {LONG} behind")
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == ["label   before", LONG, "behind"]
    say_labelled(Terminal(), "", "字" * 30 + " " + "字" * 20, 4)
    assert capsys.readouterr().out.splitlines() == ["    " + "字" * 30, "    " + "字" * 20], "two columns each"
    say_whole(Terminal(), "label", f"{LONG} with spaces", "what it is")
    assert capsys.readouterr().out.splitlines() == ["label", f"{LONG} with spaces", "what it is"]
    say_whole(Terminal(), "label", "short", "what it is")
    assert capsys.readouterr().out == "label   short: what it is\n"
