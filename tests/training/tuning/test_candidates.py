"""Which combinations are timed: only what is left open varies, and only in ways that make sense here."""

from typing import Any

import pytest
from quick_compose import compose
from tuning_cases import speed_options

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.forward.hardware import check_precision, find_device
from lstm_lm.registry import names
from lstm_lm.training.tuning.candidates import Candidate, Machine, Variant, compile_modes, sensible
from lstm_lm.training.tuning.options import as_typed, chosen_config, is_open

CPU = Machine("cpu", "bf16-mixed", threads=8, cores=8)
STRATEGIES = names("lstm_lm.forward.strategies")


def resolve(name: str, precision: str) -> str:
    """A machine where everything but one combination runs, and `auto` takes the vendor's kernel."""
    check_precision(precision, find_device("cpu"))
    if (name, precision) == ("fused", "64-true"):
        raise UserError("forward=fused: not in float64\nuse another")
    return "fused" if name == "auto" else name


def tried(*overrides: str, machine: Machine = CPU, **lists: Any) -> list[Candidate]:
    return sensible(compose(*overrides), speed_options(**lists), machine, resolve)[0]


def test_what_would_run_without_tuning_is_the_first() -> None:
    assert tried()[0] == Candidate("bf16-mixed", "fused", "none", 8)


def test_everything_varies_that_is_left_open() -> None:
    found = tried()
    assert {each.precision for each in found} == {"bf16-mixed", "32-true"}
    assert {each.threads for each in found} == {8, 4, 1}
    assert {each.forward for each in found} == {*STRATEGIES} - {"stepwise"}
    assert {each.compile for each in found} == {"none"}, "compiling is tried later, on the fastest"
    assert len(found) == len(set(found)) == 2 * 3 * (len(STRATEGIES) - 1)


def test_what_is_set_does_not_vary() -> None:
    set_here = ("precision=32-true", "forward=stepwise", "runtime.threads=3", "compile=default")
    assert tried(*set_here) == [Candidate("32-true", "stepwise", "default", 3)]


def test_the_reference_is_tried_only_where_nothing_else_runs_or_when_it_is_listed() -> None:
    alone = sensible(compose(), speed_options(), CPU, only_stepwise)
    assert {each.forward for each in alone[0]} == {"stepwise"}
    assert {candidate.forward for candidate, _ in alone[1]} == {*STRATEGIES} - {"stepwise"}
    listed = tried(forwards=["stepwise", "fused"])
    assert [each.forward for each in listed if each.precision == "32-true" and each.threads == 1] == [
        "fused",
        "stepwise",
    ]


def only_stepwise(name: str, precision: str) -> str:
    if name not in ("auto", "stepwise"):
        raise UserError(f"forward={name}: not this cell\nuse another")
    return "stepwise"


def test_a_model_without_strategies_varies_in_all_else() -> None:
    def direct(name: str, precision: str) -> str:
        if name != "auto":
            raise UserError(f"forward={name}: no recurrent layers")
        return "direct"

    good, bad = sensible(compose(), speed_options(), CPU, direct)
    assert {each.forward for each in good} == {"direct"}
    assert len(good) == len(set(good)) > 1
    assert bad == []
    assert "forward.name" not in good[0].settings(), "nobody can type forward=direct"


def test_lists_say_what_to_try() -> None:
    found = tried(precisions=["64-true", "32-true"], forwards=["fused"], threads=[2])
    assert found == [Candidate("32-true", "fused", "none", 2)]


def test_what_cannot_run_here_is_told_with_its_reason() -> None:
    lists = speed_options(precisions=["16-mixed", "64-true"], forwards=["fused"])
    good, bad = sensible(compose(), lists, CPU, resolve)
    assert good == []
    assert [(each.precision, reason) for each, reason in bad] == [
        ("16-mixed", "precision=16-mixed: a CPU has no float16 mixed precision; use bf16-mixed or 32-true"),
        ("64-true", "forward=fused: not in float64"),
    ]


def test_threads_matter_on_a_cpu_only() -> None:
    assert {each.threads for each in tried(machine=Machine("cuda", "16-mixed", 8, 8), precisions=["32-true"])} == {8}
    assert {each.threads for each in tried(machine=Machine("cpu", "32-true", threads=2, cores=2))} == {2, 1}


def test_modes_of_compiling() -> None:
    assert compile_modes(speed_options(), CPU) == ["default"]
    assert compile_modes(speed_options(), Machine("cuda", "16-mixed", 8, 8)) == ["default", "reduce-overhead"]
    assert compile_modes(speed_options(compile_modes=["max-autotune"]), CPU) == ["max-autotune"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("tune.precisions=[33-true]",), r"precisions=\['33-true'\]: choose from"),
        (("tune.forwards=[sideways]",), r"forwards=\['sideways'\]: choose from"),
        (("tune.precisions=[32-true]", "precision=32-true"), r"tune.precisions=\['32-true'\]: precision is set"),
        (("tune.forwards=[fused]", "forward=fused"), "forward is set"),
        (("tune.compile_modes=[default]", "compile=default"), "compile is set"),
        (("tune.threads=[1]", "runtime.threads=2"), "runtime.threads is set"),
        (("tune.threads=[0]",), r"tune.threads=0: must be greater than or equal to 1"),
        (("tune.margin=1.0",), "must be less than 1"),
    ],
)
def test_wrong_settings_are_refused(overrides: tuple[str, ...], said: str) -> None:
    from lstm_lm.training.config import TrainConfig

    with pytest.raises(UserError, match=said) as caught:
        TrainConfig.parse(lstm_lm.compose("tune=speed", *overrides))
    assert str(caught.value).count("\n") <= 3


def test_on_a_gpu_one_call_for_all_layers_and_one_a_layer_are_both_timed() -> None:
    """Where they differ, which the strategy knows: what it would not do by itself is one more candidate."""
    gpu = Machine("cuda", "16-mixed", threads=1, cores=8)

    def variants(name: str, precision: str) -> list[Variant]:
        return [(("calls", "layer"),)] if (name, precision) == ("fused", "16-mixed") else []

    def anywhere(name: str, precision: str) -> str:
        return "fused" if name == "auto" else name

    config = compose("tune=speed")
    found, _ = sensible(config, speed_options(), gpu, anywhere, variants)
    assert found[:2] == [
        Candidate("16-mixed", "fused", "none", 1),
        Candidate("16-mixed", "fused", "none", 1, (("calls", "layer"),)),
    ]
    assert sum(candidate.variant != () for candidate in found) == 1
    chosen = found[1].settings()
    assert as_typed({key: chosen[key] for key in chosen if is_open(config, key)}) == (
        "precision=16-mixed forward=fused forward.calls=layer compile=none runtime.threads=1"
    )
    assert chosen_config(config, chosen)["forward"] == {"name": "fused", "calls": "layer"}
    kept = compose("tune=speed", "forward=fused", "forward.calls=stack")
    assert all(not each.variant for each in sensible(kept, speed_options(), gpu, anywhere, variants)[0])
    assert chosen_config(kept, chosen)["forward"]["calls"] == "stack"
