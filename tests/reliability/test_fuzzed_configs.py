"""Any value in any field of a configuration: taken, or refused in a few lines that name the key."""

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from counted import counted, refused_well
from hypothesis import strategies as st
from odd_values import ANYTHING, NUMBERS, WORDS
from tiers import first

import lstm_lm
from lstm_lm.errors import RunError, UserError
from lstm_lm.training.config import TrainConfig

Config = Callable[..., dict[str, Any]]
Keep = Callable[..., None]
Path_ = tuple[str, ...]

SECTIONS = (
    *("data", "tokenizer", "model", "forward", "compile", "objective", "optimizer", "scheduler", "averaging"),
    *("trainer", "callbacks", "logger", "runtime", "tune"),
)
NOT_READ = ("precision", "device")
"""Groups that only set keys of `trainer`."""

NOT_TRAINED = ("compile", "tune", "trainer.devices", "trainer.num_nodes", "trainer.accelerator", "trainer.max_time")
"""What would take minutes, or other processes."""
LARGEST_TRAINED = 100
"""A larger number is a valid wish too, for another machine."""


def leaves(node: dict[str, Any], path: Path_ = ()) -> Iterator[Path_]:
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        yield (*path, key)


def fields(config: dict[str, Any]) -> st.SearchStrategy[Path_]:
    return st.sampled_from([path for path in leaves(config) if path[0] not in NOT_READ])


def changed(config: dict[str, Any], path: Path_, value: Any) -> dict[str, Any]:
    new = copy.deepcopy(config)
    node = new
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return new


def tried(config: dict[str, Any]) -> str | None:
    """None: taken; else how it was refused. Any other error is one of the program, and is raised."""
    try:
        TrainConfig.parse(config)
    except UserError as error:
        refused_well(error)
        return str(error)
    return None


def check(config: dict[str, Any], examples: int) -> Counter[str]:
    def handled(path: Path_, value: Any) -> str:
        message = tried(changed(config, path, value))
        if message is None:
            return "taken"
        assert _names(message, path, value), (path, value, message)
        return "refused"

    return counted(handled, examples, path=fields(config), value=NUMBERS | WORDS | ANYTHING)


def check_by_training(config: dict[str, Any], folder: Path, examples: int) -> Counter[str]:
    """What is taken trains two steps, or is refused in words by the part that it concerns."""
    number = 0

    def handled(path: Path_, value: Any) -> str:
        nonlocal number
        if ".".join(path).startswith(NOT_TRAINED) or _is_large(value):
            return "left out"
        new = changed(config, path, value)
        if tried(new) is not None:
            return "refused"
        number += 1
        try:
            lstm_lm.train(new, folder / str(number))
        except (UserError, RunError) as error:
            refused_well(error)
            return "refused later"
        return "trained"

    return counted(handled, examples, path=fields(config), value=NUMBERS | WORDS)


def _names(message: str, path: Path_, value: Any) -> bool:
    """Whether a person is told which key it was: the one that is wrong, or, of a section that is, one in it."""
    if isinstance(value, dict) or len(path) == 1:
        return path[0] in message
    return path[0] in message and (path[-1] in message or path[-1] == "name")


def _is_large(value: Any) -> bool:
    return isinstance(value, (int, float)) and not abs(value) <= LARGEST_TRAINED


@pytest.mark.parametrize("model", first(["lstm", "gru", "rnn", "transformer", "ffn"]))
@pytest.mark.parametrize("examples", first([100, 400]))
def test_any_value_in_any_field_is_taken_or_refused_by_name(examples: int, model: str, small_config: Config) -> None:
    config = small_config(f"model={model}", "model.num_layers=1") if model != "lstm" else small_config()
    counts = check(config, examples)
    assert counts["taken"] > examples // 40  # else nothing was tried but nonsense
    assert counts["refused"] > examples // 4


@pytest.mark.parametrize("unit", first(["window", "line", "document"]))
@pytest.mark.parametrize("examples", first([40, 150]))
def test_what_is_taken_trains(
    examples: int, unit: str, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a folder may be named by any word
    documents = ["data.separator=."] if unit == "document" else []
    config = small_config("trainer.max_steps=2", f"data.unit={unit}", *documents)
    assert check_by_training(config, tmp_path, examples)["trained"] > examples // 30


def test_a_section_that_is_missing_or_of_another_kind_is_refused(small_config: Config) -> None:
    config = small_config()
    for section in SECTIONS:
        for value in (None, [], "x", 3):
            message = tried(changed(config, (section,), value))
            assert message is not None
            assert section in message
        with pytest.raises(UserError, match=section):
            TrainConfig.parse({name: value for name, value in config.items() if name != section})


def test_an_unknown_key_is_refused_by_name_in_every_section(small_config: Config) -> None:
    config = small_config()
    for section in SECTIONS:
        message = tried(changed(config, (section, "nonsense"), 1))
        assert message is not None, section
        assert "nonsense" in message


@pytest.mark.slow
def test_many_values_in_many_fields(small_config: Config, keep: Keep) -> None:
    counts = check(small_config(), 20_000)
    keep("configurations", tried=counts.total(), taken=counts["taken"], refused=counts["refused"])
    assert counts.total() >= 19_000  # hypothesis knows when it repeats itself


@pytest.mark.slow
def test_many_that_are_taken_train(
    small_config: Config, tmp_path: Path, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    counts = check_by_training(small_config("trainer.max_steps=2"), tmp_path, 3000)
    keep("trained_configurations", **{name.replace(" ", "_"): count for name, count in counts.items()})
    assert counts["trained"] > 100
