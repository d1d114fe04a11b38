"""Any settings, killed and resumed, train what one plain loop trains: losses, norms, weights, every figure reported.

A draw that fails is repeated by its number: `pytest -n 0 -m "" tests/reliability/test_against_a_plain_loop.py -k -17-`
"""

import math
import random
from collections import Counter
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import draws
import plain_text
import pytest
import torch
from held_to_a_loop import differ, differences
from killed_runs import Run
from plain_text import Settings, Text

import lstm_lm
from lstm_lm.data.module import TextDataModule
from lstm_lm.data.window_lengths import bounds

DEFAULT, TRIED, MORE = 3, 20, 320


@cache
def defaults() -> dict[str, Any]:
    """Those of conf/, without what takes time and is not looked at here."""
    quiet = ("callbacks.samples.length=0", "callbacks.monitor.system=false", "logger=csv", "runtime.threads=1")
    return lstm_lm.compose("data=text", "device=ddp", "trainer.accelerator=cpu", *quiet)


def configuration(drawn: draws.Draw) -> dict[str, Any]:
    """Of a draw, but for its text and for how long it is trained."""
    config = deepcopy(defaults())
    for key, value in drawn.items():
        group, _, name = key.partition(".")
        if group in ("data", "model"):
            config[group][name] = value
    config["model"]["embedding_size"] = drawn["model.hidden_size"] if drawn["model.tie_weights"] else 6
    for group in ("optimizer", "scheduler", "averaging", "tokenizer", "forward", "precision"):
        config[group] = draws.section(drawn, group)
    for name in ("every_n_steps", "keep"):
        config["callbacks"]["checkpoint"][name] = drawn[f"callbacks.checkpoint.{name}"]
    config["trainer"] |= {"precision": drawn["precision"], "devices": drawn["processes"]}
    return config


def parts_of(text: str, drawn: draws.Draw) -> dict[str, str]:
    """The splits: by characters, or by lines."""
    validation, test = drawn["data.validation_fraction"], drawn["data.test_fraction"]
    if (drawn["data.unit"], drawn["data.split"]) == ("line", "random"):
        return plain_text.dealt(text, validation, test)
    first, second = int(len(text) * (1 - validation - test)), int(len(text) * (1 - test))
    return {"train": text[:first], "validation": text[first:second], "test": text[second:]}


def prepared(number: int, folder: Path) -> tuple[dict[str, Any], Settings, Text]:
    """A draw as the project's configuration, and as the plain loop takes it."""
    drawn, text = draws.draw(number), draws.text_of(number)
    file = folder / "text.txt"
    file.write_text(text, encoding="utf-8", newline="")
    config = configuration(drawn) | {"seed": number}
    config["data"] |= {"path": str(file), "cache_dir": str(folder / "cache")}
    data = TextDataModule(config["data"], config["tokenizer"], number)
    data.prepare()
    ids = {split: [int(token) for token in data.tokens(split)] for split in data.manifest.splits}
    spelled = [data.tokenizer.token_bytes(token) for token in range(data.tokenizer.vocabulary_size)]
    for split, part in parts_of(text, drawn).items():
        assert b"".join(spelled[token] for token in ids.get(split, ())).decode() == part
    newline = int(data.tokenizer.encode("\n").ids[-1])
    split_ids = Text(ids["train"], ids["validation"], ids.get("test"), spelled, newline)
    settings = Settings(
        seed=number,
        batch_size=drawn["data.batch_size"] * drawn["processes"],
        **{name: drawn[f"data.{name}"] for name in ("unit", "seq_len", "carry_state")},
        **{name: drawn[f"data.{name}"] for name in ("eval_batch_size", "eval_context")},
        **{group: draws.section(drawn, group) for group in ("optimizer", "scheduler", "averaging")},
    )
    counts = plain_text.windows_of(settings, split_ids)
    evaluated = {"limit_val_batches": counts["validation"], "limit_test_batches": counts.get("test", 1)}
    trainer = draws.trainer_of(drawn, counts["train"], evaluated)
    config["trainer"] |= trainer
    stream = len(split_ids.train) // settings.batch_size
    lengths = [
        tuple(int(size) for size in torch.tensor(bounds("random", stream, settings.seq_len, (number, epoch, 1))).diff())
        for epoch in range(10 if drawn["data.window_lengths"] == "random" else 0)
    ]
    known = Settings.__dataclass_fields__.keys()
    more = {name: value for name, value in trainer.items() if name in known}
    return config, Settings(**{**vars(settings), **more, "lengths": tuple(lengths)}), split_ids


def check(number: int, folder: Path) -> None:
    """One draw."""
    config, settings, text = prepared(number, folder)
    drawn = draws.draw(number)
    chance = random.Random(f"kills {number}")
    whole, killed = Run(config, folder / "whole"), Run(config, folder / "killed")
    whole.go()
    found = differences(whole, settings, text)
    calls = Counter(whole.calls)
    calls["signal"] = calls["step"]
    moments = [moment if calls[moment] else "step" for moment in (drawn["moment"], drawn["second moment"])]
    kills = [(moment, math.ceil(chance.random() * calls[moment])) for moment in moments[: drawn["kills"]]]
    came = [killed.go(*kill) for kill in kills]
    assert came[0], kills
    killed.go()
    found += differ(whole, killed)
    told = {name: value for name, value in vars(settings).items() if name not in ("optimizer", "scheduler", "lengths")}
    assert not found, "\n".join([f"draw {number}, killed {kills}", *found, str(told), str(drawn)])


def test_every_value_of_every_setting_is_among_the_draws_that_are_always_tried() -> None:
    tried = [draws.draw(number) for number in range(TRIED)]
    for key, values in draws.VALUES.items():
        assert set(map(repr, values)) == {repr(drawn[key]) for drawn in tried}, key


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, id=f"draw-{number}-", marks=() if number < DEFAULT else pytest.mark.matrix)
        for number in range(TRIED)
    ],
)
def test_a_run_is_what_a_plain_loop_makes_of_its_settings(number: int, tmp_path: Path) -> None:
    check(number, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("number", [pytest.param(number, id=f"draw-{number}-") for number in range(TRIED, MORE)])
def test_many_runs_are_what_a_plain_loop_makes_of_their_settings(number: int, tmp_path: Path) -> None:
    check(number, tmp_path)
