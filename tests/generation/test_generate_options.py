from typing import Any

import pytest

from lstm_lm.errors import UserError
from lstm_lm.generation.api import settings_of
from lstm_lm.generation.options import GenerateOptions

GOOD: dict[str, Any] = {
    "prompt": "a",
    "prompt_file": None,
    "max_new_tokens": 5,
    "temperature": 1,
    "top_k": None,
    "top_p": 1.0,
    "min_p": 0.0,
    "num_samples": 1,
    "only_new": False,
    "seed": None,
    "stop": None,
    "unknown": "error",
}


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("prompt", [None, "", "42", " \n"]),
        ("prompt_file", ["-", "a file"]),
        ("max_new_tokens", [0, 1, 10**9]),
        ("temperature", [0, 0.8, 100.0]),
        ("top_k", [1, 50]),
        ("top_p", [0.001, 1]),
        ("min_p", [0, 0.5, 1]),
        ("num_samples", [1, 64]),
        ("seed", [0, 2**63 - 1]),
        ("stop", ["\n\n", [".", "!"], []]),
        ("unknown", ["error", "skip", "replace"]),
    ],
)
def test_values_in_range_are_taken(key: str, values: list[Any]) -> None:
    for value in values:
        assert getattr(GenerateOptions.parse({**GOOD, key: value}, "generate"), key) == value


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("prompt", [42]),
        ("max_new_tokens", [-1, 1.5, None]),
        ("temperature", [-0.1, float("nan"), float("inf"), "hot"]),
        ("top_k", [0, 2.5]),
        ("top_p", [0, 1.1, -1]),
        ("min_p", [-0.1, 1.01]),
        ("num_samples", [0, -3]),
        ("seed", [-1, 2**63]),
        ("stop", ["", 5, ["a", ""]]),
        ("unknown", ["ignore"]),
    ],
)
def test_values_out_of_range_are_refused_with_key_and_range(key: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(UserError, match=key) as refusal:
            GenerateOptions.parse({**GOOD, key: value}, "generate")
        assert len(str(refusal.value).splitlines()) <= 4


def test_the_options_become_the_settings_of_the_sampler() -> None:
    options = GenerateOptions.parse({**GOOD, "temperature": 0.5, "top_k": 3, "stop": ["x"], "seed": 9}, "generate")
    assert settings_of(options) == {
        "temperature": 0.5,
        "top_k": 3,
        "top_p": 1.0,
        "min_p": 0.0,
        "seed": 9,
        "stop": ["x"],
        "unknown": "error",
        "autocast": None,
    }
