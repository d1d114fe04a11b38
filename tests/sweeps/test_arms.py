"""From arms to rows."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.errors import UserError
from lstm_lm.sweeps.arms import expand, laid_over, override
from lstm_lm.sweeps.options import StudyOptions


def study(**changed: object) -> StudyOptions:
    section = {
        "name": "one",
        "dir": "somewhere",
        "size": "small",
        "repetitions": 2,
        "timeout_minutes": 1.0,
        "order_seed": 1,
        "settings": {"trainer.max_steps": 10},
        "models": None,
        "arms": {
            "one_core": {"settings": {"runtime.threads": 1}, "sweep": {"model.num_layers": [1, 2]}},
            "plain": {"settings": {"model": "gru"}, "sweep": {}},
        },
        "baselines": {},
        "steps": {},
        "small": {},
        "full": {},
    }
    return StudyOptions.read(section | changed)


def lines(options: StudyOptions, **typed: list[str]) -> list[list[str]]:
    return [list(row.values()) for _, row in expand(options, typed)]


def test_an_arm_is_a_product_of_its_own_and_an_arm_without_a_sweep_is_one_row() -> None:
    assert lines(study()) == [
        ["trainer.max_steps=10", "runtime.threads=1", "model.num_layers=1"],
        ["trainer.max_steps=10", "runtime.threads=1", "model.num_layers=2"],
        ["trainer.max_steps=10", "model=gru"],
    ]


def test_what_is_typed_holds_for_every_row_and_takes_the_place_of_what_the_study_says() -> None:
    found = [row for _, row in expand(study(), {"trainer.max_steps": ["trainer.max_steps=3"], "data": ["data=text"]})]
    assert all(row["trainer.max_steps"] == "trainer.max_steps=3" and row["data"] == "data=text" for row in found)


def test_several_values_that_are_typed_are_what_the_arm_sweeps_over() -> None:
    typed = {"model.num_layers": ["model.num_layers=4", "model.num_layers=8", "model.num_layers=16"]}
    found = [row.get("model.num_layers") for _, row in expand(study(), typed)]
    assert found == ["model.num_layers=4", "model.num_layers=8", "model.num_layers=16", None]


def test_several_values_of_a_key_that_nothing_sweeps_over_are_refused() -> None:
    with pytest.raises(UserError, match=r"seed: study=one does not sweep over this key.*\n.*model\.num_layers"):
        list(expand(study(), {"seed": ["seed=1", "seed=2"]}))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"arms": {}}, "no arm is left"),
        ({"arms": {"a": {"settings": {}, "sweep": {"seed": []}}}}, "seed: no value"),
        ({"arms": {"A b": {"settings": {}, "sweep": {}}}}, "'A b' is no name"),
        ({"repetitions": 0}, "study.repetitions=0: must be greater"),
        ({"size": "huge"}, "study.size='huge'"),
    ],
)
def test_a_study_that_cannot_be_is_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        study(**changed)


def test_a_baseline_is_a_row_with_some_settings_replaced_and_null_takes_one_away() -> None:
    row = {"forward": "forward=pipelined", "runtime.threads": "runtime.threads=2", "seed": "seed=1"}
    assert laid_over(row, {"forward": "fused", "runtime.threads": None}) == {
        "forward": "forward=fused",
        "seed": "seed=1",
    }


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(VALUES)
def test_hydra_reads_a_value_as_the_yaml_file_has_it(value: object) -> None:
    if isinstance(value, str) and "\n" in value:
        return  # Hydra's own grammar has no line ends
    [parsed] = OverridesParser.create().parse_overrides([override("key", value)])
    assert _plain(parsed.value()) == value


def _plain(value: object) -> object:
    return [_plain(item) for item in value] if isinstance(value, list) else value
