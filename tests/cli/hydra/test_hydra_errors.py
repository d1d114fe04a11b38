"""Whatever Hydra and OmegaConf stumble over is told in at most four lines that name the key and the remedy."""

from pathlib import Path

import pytest
from cli_commands import Here, StandIn

from lstm_lm.cli.hydra.conf import groups_of, option_table, options_of

COMMON = [
    ("model=foo", ["model=foo: no such option", "choose one of: ", "lstm"]),
    ("data=_windows", ["data=_windows: no such option", "python_docs, python_names, text, tinyshakespeare"]),
    ("model.hiden_size=3", ["model.hiden_size: no such key", "did you mean: model.hidden_size"]),
    ("hidden_size=3", ["hidden_size: no such key", "model.hidden_size"]),
    ("forward.chunk=8", ["forward.chunk: only with forward=pipelined"]),
    ("optimizer=torch optimizer.rho=0.9", ["optimizer.rho: ", "+optimizer.rho=VALUE"]),
    ("optimizer=torch +optimizer.rho=0.9", ["optimizer.rho: torch.optim.NAdam has no such argument", "eps"]),
    ("hydra.job.num=abc", ["hydra.job.num", "abc", "Integer"]),
    ("seed", ["seed: not of the form KEY=VALUE", "--help"]),
    ("tokenizer", ["tokenizer=OPTION", "bpe, byte, char, whitespace, word"]),
    ("seed=[1", ["seed=[1: the value cannot be read"]),
    ("seed=1,2", ["seed=1,2: several values", "-m"]),
    ("+seed=3", ["seed: is there already", "leave the + away"]),
    ("seed=${nope}", ["seed: Interpolation key 'nope' not found"]),
    ("seed=???", ["seed: no value given", "seed=VALUE"]),
    ("hydra/launcher=foo", ["hydra/launcher=foo: no such option", "basic"]),
    ("hydra.mode=MULTIRUN", ["hydra.mode", "-m"]),
    ("--cfg nothing", ["--cfg", "nothing"]),
    ("--experimental-rerun=x.pickle", ["would run code"]),
]
RARE = [
    ("precision=32", ["precision=32: no such option", "32-true"]),
    ("compile=off", ["compile=off: no such option", "none"]),
    ("model=null", ["model=null: no such option"]),
    ("mdel=lstm", ["mdel: no such key", "did you mean: model"]),
    ("optimizer=sgd optimizer.momentun=0.9", ["optimizer.momentun: no such key", "optimizer.momentum"]),
    ("hydra.run.dri=x", ["hydra.run.dri: no such key", "hydra.run.dir"]),
    ("~nothing", ["nothing: no such key"]),
    ("=3", ["=3"]),
    ("data.encoding=What's", ["data.encoding=What's: the value cannot be read", "quotes"]),
    ("seed=range(1,3)", ["several values", "-m"]),
    ("+model=lstm", ["model: is chosen already", "model=OPTION"]),
    ("seed=${oc.env:NOT_THERE}", ["seed", "NOT_THERE"]),
    ("--foo", ["--foo", "--help"]),
    ("--run --multirun", ["Only one of"]),
    ("--cfg job --package nothing", ["nothing"]),
]


@pytest.mark.parametrize(
    ("typed", "told"), [*COMMON, *(pytest.param(*case, marks=pytest.mark.matrix) for case in RARE)]
)
def test_told_in_a_few_lines(typed: str, told: list[str], here: Here, own_folder: Path) -> None:
    message = here("train", *typed.split()).refused()
    for words in told:
        assert words in message
    assert list(own_folder.iterdir()) == [], "nothing was written"


def test_a_long_value_is_shown_short(here: Here) -> None:
    message = here("train", f"seed=[{'x' * 5000}\n\n\n\n\n").refused()
    assert len(message) < 500


def test_a_sweep_that_cannot_be_composed_is_refused_as_a_whole(here: Here, own_folder: Path) -> None:
    message = here("train", "-m", "model=lstm,gpt").refused()
    assert "model=gpt: no such option" in message
    assert list(own_folder.iterdir()) == []


def test_hydras_own_keys_cannot_be_swept(here: Here) -> None:
    assert "Hydra's own keys" in here("train", "-m", "hydra.job.name=a,b").refused()


def test_a_yaml_file_of_the_users_own_with_a_mistake(here: Here, own_folder: Path) -> None:
    (own_folder / "mine" / "experiment").mkdir(parents=True)
    (own_folder / "mine" / "experiment" / "bad.yaml").write_text("a: [1\nb: 2\n")
    assert "bad.yaml" in here("train", "--config-dir=mine", "experiment=bad").refused()


def test_full_error_shows_the_traceback(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    said = here("train", "model=foo")
    assert said.status == 2
    assert "Traceback" in said.err
    *_, last, choices = said.err.splitlines()
    assert last == "error: model=foo: no such option"
    assert choices.startswith("choose one of: ")


def test_options_are_the_files_that_are_whole_options() -> None:
    assert options_of("data") == ["python_docs", "python_names", "text", "tinyshakespeare", "wikitext2"]
    assert groups_of("generate") == ["device", "precision", "forward"]


def test_the_option_table_marks_what_is_taken_by_default() -> None:
    [tokenizer] = [line for line in option_table("train").splitlines() if line.split()[0] == "tokenizer"]
    assert tokenizer.split(maxsplit=1)[1] == "bpe, byte, [char], whitespace, word"


def test_another_commands_configuration_is_named(here: Here) -> None:
    told = here("generate", "--config-name=train", "run=x").refused()
    assert "lstm_lm train" in told


def test_a_configuration_that_lacks_what_the_command_reads_is_refused(here: Here, own_folder: Path) -> None:
    (own_folder / "mine.yaml").write_text("seed: 1\n", encoding="utf-8")
    told = here("train", f"--config-dir={own_folder}", "--config-name=mine").refused()
    assert "--config-name=mine" in told
    assert "data" in told


def test_a_configuration_of_ones_own_may_build_on_ours(
    here: Here, own_folder: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here it also names the run directory, below the user's home."""
    monkeypatch.setenv("HOME", str(own_folder))
    monkeypatch.setenv("USERPROFILE", str(own_folder))
    (own_folder / "mine.yaml").write_text("defaults: [train, _self_]\nhydra: {run: {dir: ~/mine}}\n", encoding="utf-8")
    assert here("train", f"--config-dir={own_folder}", "--config-name=mine").status == 0
    assert stand_in.calls[0][1] == Path("mine")
