"""`generate` on a run that was trained on lines."""

from pathlib import Path

import pytest
from cli_commands import TINY, Apart, Here, Said

from lstm_lm.cli.main import main

NAMES = "".join(f"{one}{two}{three}\n" for one in "abcd" for two in "aeiou" for three in "nmrst")


@pytest.fixture(scope="module")
def lines_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which `train` has left a run on a hundred names."""
    folder = tmp_path_factory.mktemp("lines")
    (folder / "names.txt").write_text(NAMES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        assert main(["train", *TINY, "data.path=names.txt", "data.unit=line", "trainer.max_steps=200"]) == 0
    return folder


@pytest.fixture
def generate(here: Here, lines_run: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    monkeypatch.chdir(lines_run)

    def run(*argv: str) -> Said:
        return here("generate", "device=cpu", "seed=1", *argv)

    return run


def test_as_many_lines_as_are_asked_for_and_whether_each_is_new(generate: Here) -> None:
    said = generate("num_samples=20", "temperature=1")
    assert said.status == 0, said.err
    lines = said.out.splitlines()
    assert len(lines) == 20
    told = [line.rpartition(": ")[2] for line in said.err.splitlines() if line.startswith("--- line ")]
    assert len(told) == 20
    for line, standing in zip(lines, told, strict=True):
        assert standing in ("new", "copied")
        assert line in NAMES.split() or standing == "new"
    assert generate("num_samples=20", "temperature=1").out == said.out


def test_a_prompt_is_the_beginning_of_a_line(generate: Here) -> None:
    said = generate("prompt=ca", "num_samples=5")
    assert [line[:2] for line in said.out.splitlines()] == ["ca"] * 5
    assert generate("prompt=ca\nno").refused()


def test_only_new_ones_are_none_of_the_training_text_and_say_how_many_were_found(generate: Here) -> None:
    said = generate("num_samples=6", "only_new=true", "temperature=1.5")
    assert said.status == 0, said.err
    lines = said.out.splitlines()
    assert len(set(lines)) == len(lines) == 6
    few = generate("num_samples=3", "only_new=true", "temperature=0")
    assert few.status == 0
    assert len(few.out.splitlines()) <= 1, "always the most likely one"
    assert "gave up" in few.err
    assert "stop" in generate("only_new=true", "stop=a").refused()


def test_lines_that_are_typed_are_beginnings(lines_run: Path, apart: Apart) -> None:
    said = apart("generate.py", "interactive=true", "device=cpu", "seed=1", cwd=lines_run, text="ca\n\nbo\n")
    assert said.status == 0, said.err
    lines = said.out.splitlines()
    assert len(lines) == 3
    assert (lines[0][:2], lines[2][:2]) == ("ca", "bo")


def test_the_python_api_gives_lines_without_their_ends(lines_run: Path) -> None:
    import lstm_lm

    runs = {"runs_dir": lines_run / "outputs", "device": "cpu", "seed": 1}
    text = lstm_lm.generate(prompt="ca", **runs)  # type: ignore[arg-type]
    assert isinstance(text, str)
    assert "\n" not in text
    assert len(lstm_lm.generate(num_samples=4, only_new=True, temperature=1.5, **runs)) == 4  # type: ignore[arg-type]


def test_running_text_has_no_new_ones(here: Here, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    assert "data.unit=line" in here("generate", "device=cpu", "only_new=true").refused()
