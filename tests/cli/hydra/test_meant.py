"""What people type who come from elsewhere gets a line with the key that they mean."""

from pathlib import Path

import pytest
from cli_commands import Here

from lstm_lm.cli.hydra.conf import conf_dir, keys_of
from lstm_lm.cli.hydra.meant import _FOREIGN


@pytest.mark.parametrize(
    ("verb", "typed", "meant"),
    [
        ("train", ["novel.txt"], "data=text data.path=novel.txt"),
        ("train", ["data=../texts/novel.txt"], "data=text data.path=../texts/novel.txt"),
        ("train", ["my novel.txt"], 'data=text data.path="my novel.txt"'),
        ("train", ["gru"], "model=gru"),
        ("train", ["--epochs", "10"], "trainer.max_epochs=10"),
        ("train", ["--learning-rate=0.1"], "optimizer.lr=0.1"),
        ("train", ["--model.hidden_size", "64"], "model.hidden_size=64"),
        ("train", ["--lr", "--epochs"], "optimizer.lr=VALUE"),
        ("train", ["epochs=10"], "trainer.max_epochs=10"),
        ("train", ["hidden=64"], "model.hidden_size=64"),
        ("train", ["study=layers", "repetitions=1", "-m"], "study.repetitions=1"),
        ("train", ["model.hidden_size", "=", "64"], "model.hidden_size=64"),
        ("train", ["model.hidden_size=", "64"], "model.hidden_size=64"),
        ("train", ["model.hidden_size", "=64"], "model.hidden_size=64"),
        ("generate", ["To be"], 'prompt="To be"'),
        ("generate", ["--prompt", "Hi"], "prompt=Hi"),
        ("generate", ['say "hi" for $5'], "prompt='say \"hi\" for $5'"),
        ("generate", ["temp=0.3"], "temperature=0.3"),
        ("generate", ["length=20"], "max_new_tokens=20"),
        ("generate", ["n=3"], "num_samples=3"),
        ("score", ["novel.txt"], "data.path=novel.txt"),
        ("evaluate", ["novel.txt"], "data=text data.path=novel.txt"),
        ("export", ["--output-dir", "here"], "out=here"),
        ("export", ["checkpoint=best"], "ckpt_path=best"),
    ],
)
def test_the_key_that_is_meant_is_named(verb: str, typed: list[str], meant: str, here: Here) -> None:
    assert here(verb, *typed).refused().rstrip().endswith(meant)


def test_a_folder_of_a_run_is_one(here: Here, own_folder: Path) -> None:
    (own_folder / "outputs" / "mine" / "checkpoints").mkdir(parents=True)
    assert here("score", "outputs/mine").refused().rstrip().endswith("run=outputs/mine")


def test_a_text_may_stand_before_an_equals_sign_of_its_own(here: Here) -> None:
    assert here("generate", "prompt=a = b", "--cfg", "job").status == 0


@pytest.mark.parametrize("verb", ["train", "generate", "score"])
def test_a_word_may_be_longer_than_a_name_of_a_file(verb: str, here: Here) -> None:
    assert "not of the form KEY=VALUE" in here(verb, "once upon a time " * 400).refused()


@pytest.mark.parametrize("verb", ["generate", "export"])
def test_what_no_command_reads_is_not_advised(verb: str, here: Here) -> None:
    assert "did you mean" not in here(verb, "data=novel.txt").refused()


def test_every_command_is_known() -> None:
    assert {file.stem for file in conf_dir().glob("*.yaml")} == set(_FOREIGN)


def test_evaluate_has_no_sweeps_to_advise(here: Here) -> None:
    assert "-m" not in here("evaluate", "method=context,static").refused()


@pytest.mark.parametrize("verb", _FOREIGN)
def test_every_key_is_one_of_the_commands_and_no_foreign_name_is(verb: str) -> None:
    tops = keys_of(verb)
    for key, names in _FOREIGN[verb].items():
        assert key.split()[-1].partition(".")[0] in [*tops, "data", "study", "hydra"]
        assert not set(names) & set(tops)
