"""Every option of every group: it composes, it is explained, and where this machine can run it, it trains a step."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

import lstm_lm
from lstm_lm.cli.hydra.conf import conf_dir, groups_of
from lstm_lm.errors import UserError
from lstm_lm.training.config import TrainConfig

CONF = conf_dir()
WIDEST = 120
"""Characters of a line in `conf/`, comments included."""
GROUPS = [
    group for group in groups_of("train") if group != "study"
]  # a study is a sweep: tests/cli/test_study_command.py
OPTIONS = [
    (group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml")) if path.stem[0] != "_"
]
NOT_HERE = {
    ("device", "gpu"): torch.cuda.is_available(),
    ("device", "mps"): torch.backends.mps.is_available(),
    ("precision", "16-mixed"): torch.cuda.is_available(),
    ("compile", "reduce-overhead"): torch.cuda.is_available(),
    **{("logger", name): False for name in ("mlflow", "wandb", "comet")},  # tests/training/loggers
}
"""Options that need hardware or a service, and whether it is there."""
NEEDS_TEXT = {
    *(("data", name) for name in ("text", "tinyshakespeare", "wikitext2")),
    *(
        ("experiment", path.stem)
        for path in (CONF / "experiment").glob("*.yaml")
        if re.search("/data: (tiny|wiki)", path.read_text())
    ),
}
"""Options that are trained elsewhere in the tests: they need a file, which is given or downloaded."""
EXTRA = {
    ("model", "autoencoder"): ["objective=reconstruction"],
    ("objective", "reconstruction"): ["model=autoencoder"],
    ("tokenizer", "bpe"): ["tokenizer.vocabulary_size=300"],
    ("device", "ddp"): ["trainer.accelerator=cpu", "trainer.devices=2"],  # on any machine: two processes, really
}
"""What some options need besides."""


def ids(option: tuple[str, str]) -> str:
    return "=".join(option)


@pytest.mark.parametrize("option", OPTIONS, ids=ids)
def test_every_option_composes_and_is_accepted(option: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("some text")
    path = f"data.path='{tmp_path / 'text.txt'}'"
    config = lstm_lm.compose("=".join(option), *([path] if option in NEEDS_TEXT else []), *EXTRA.get(option, []))
    TrainConfig.parse(config)


@pytest.mark.parametrize(
    "option",
    [
        pytest.param(option, marks=() if option[0] in ("model", "precision") else pytest.mark.matrix)
        for option in OPTIONS
        if option not in NEEDS_TEXT
    ],
    ids=ids,
)
def test_every_option_that_can_run_here_takes_a_step(
    option: tuple[str, str], small_config: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    group, name = option
    extra = EXTRA.get(option, [])
    if group == "data":  # python_docs, python_names: no file of anybody's
        small = ("trainer.max_steps=1", "model.hidden_size=8", "device=cpu", "precision=32-true")
        config = lstm_lm.compose("=".join(option), *small)
        config["data"]["cache_dir"] = str(tmp_path / "cache")
        config["trainer"]["limit_val_batches"] = 1
    else:
        config = small_config(*([] if group == "trainer" else ["trainer.max_steps=1"]), "=".join(option), *extra)
    if NOT_HERE.get(option, True):
        summary = lstm_lm.train(config, tmp_path / "run")
        assert summary.status == "completed"
        assert summary.train.steps is not None
        assert summary.train.steps >= 1
        if group == "compile" and name != "none":
            assert summary.runtime.compile_graphs
            assert summary.runtime.graph_breaks == 0
    else:
        with pytest.raises(UserError) as caught:
            lstm_lm.train(config, tmp_path / "run")
        assert "\n" not in str(caught.value), "one line, with what to do"


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_every_key_is_explained(path: Path) -> None:
    """A key that holds a value has a comment on its line; one that holds other keys needs none."""
    text = path.read_text(encoding="utf-8")
    unexplained = [
        line
        for line in re.sub(r"(?ms)^ *\w+: \|.*?(?=^\S|\Z)", "", text).splitlines()
        if re.match(r" *[\w/ ]+:(?= +\S)", line) and not re.search(r"\s# \S|^#", line) and "defaults" not in line
    ]
    # what an option chooses from is explained by the option's own file
    unexplained = [line for line in unexplained if not re.match(r" *- (override )?/?\w+: ", line)]
    assert not unexplained, unexplained


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_no_line_is_wider_than_a_window(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    wide = [f"line {number}: {len(line)}" for number, line in enumerate(lines, start=1) if len(line) > WIDEST]
    assert not wide, f"at most {WIDEST} characters"


def test_no_option_is_a_word_that_yaml_reads_as_something_else() -> None:
    for _, name in OPTIONS:
        assert OmegaConf.to_container(OmegaConf.create(f"key: {name}")) == {"key": name}


def test_every_argument_of_lightnings_trainer_has_its_key() -> None:
    import inspect

    import lightning.pytorch as pl

    from lstm_lm.training.trainer_options import OWNED

    arguments = set(inspect.signature(pl.Trainer.__init__).parameters) - {"self"} - set(OWNED)
    assert set(OmegaConf.load(CONF / "trainer" / "default.yaml")) == arguments
