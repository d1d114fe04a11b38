import inspect
from pathlib import Path
from typing import Any

import pytest
from generation_models import char_tokenizer, lstm, lstm_section
from omegaconf import OmegaConf

from lstm_lm.cli.hydra.conf import conf_dir
from lstm_lm.errors import UserError
from lstm_lm.generation.api import generate
from lstm_lm.generation.text import sample_text, sample_texts
from lstm_lm.models.loading import load
from lstm_lm.runs import checkpoint_file

TOKENIZER = char_tokenizer()
MODEL = lstm(TOKENIZER.vocabulary_size)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with one run, `first`."""
    path = tmp_path / "outputs" / "first" / "checkpoints" / "best.ckpt"
    path.parent.mkdir(parents=True)
    section = {"schema_version": 1, "config": {"model": lstm_section()}, "tokenizer": TOKENIZER.to_json()}
    weights = {f"model.{name}": tensor for name, tensor in MODEL.state_dict().items()}
    checkpoint_file.save({"state_dict": weights, "lstm_lm": section}, path)
    return tmp_path / "outputs"


def test_the_newest_run_continues_the_prompt(runs: Path) -> None:
    new = sample_text(MODEL, TOKENIZER, "abc\n", max_new_tokens=50, temperature=0.7, top_k=5, seed=1)
    arguments: dict[str, Any] = {"max_new_tokens": 50, "temperature": 0.7, "top_k": 5, "seed": 1}
    assert generate(prompt="abc\n", runs_dir=runs, **arguments) == "abc\n" + new
    assert generate("first", "abc\n", runs_dir=runs, **arguments) == "abc\n" + new
    assert generate(load(runs / "first"), "abc\n", **arguments) == "abc\n" + new


def test_several_samples_are_a_list(runs: Path) -> None:
    texts = generate(load(runs / "first"), "ab", num_samples=3, max_new_tokens=20, temperature=0.7, seed=1)
    new = sample_texts(MODEL, TOKENIZER, "ab", num_samples=3, max_new_tokens=20, temperature=0.7, seed=1)
    assert texts == ["ab" + text for text in new]


def test_the_prompt_may_be_a_file(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_text("abc \n", encoding="utf-8")
    text = generate(load(runs / "first"), prompt_file=str(file), max_new_tokens=10, seed=1)
    assert text == generate(load(runs / "first"), "abc \n", max_new_tokens=10, seed=1)


def test_stop_strings_may_be_any_sequence(runs: Path) -> None:
    loaded = load(runs / "first")
    assert generate(loaded, "a", seed=1, stop=("e", "f")) == generate(loaded, "a", seed=1, stop=["e", "f"])


def test_what_is_left_out_has_its_value_from_the_configuration() -> None:
    """A signature cannot read YAML: it repeats what conf/generate.yaml says, and must not say anything else."""
    config: Any = OmegaConf.to_container(OmegaConf.load(conf_dir() / "generate.yaml"))
    for option in config.pop("defaults"):
        config |= option if isinstance(option, dict) else {}
    parameters = {name: parameter.default for name, parameter in inspect.signature(generate).parameters.items()}
    assert parameters == {name: value for name, value in config.items() if name in parameters}
    assert config.keys() - parameters.keys() == {"hydra", "interactive"}, "what is the command line's alone"


def test_wrong_values_are_refused_before_a_run_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"generate\.temperature=-1"):
        generate(runs_dir=tmp_path, temperature=-1)
    with pytest.raises(UserError, match="no runs there yet"):
        generate(runs_dir=tmp_path)
