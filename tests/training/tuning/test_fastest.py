"""The decision, with planted times."""

from typing import Any, NamedTuple

import pytest
from quick_compose import compose
from tuning_cases import Track, speed_options

from lstm_lm.errors import UserError
from lstm_lm.training.tuning.candidates import Candidate, Machine, compile_modes, sensible
from lstm_lm.training.tuning.options import is_open
from lstm_lm.training.tuning.race import Deadline, Race, Result
from lstm_lm.training.tuning.speed import find_fastest, speedup

CPU = Machine("cpu", "bf16-mixed", threads=2, cores=2)
UNTUNED = Candidate("bf16-mixed", "fused", "none", 2)
ONE_THREAD = Candidate("bf16-mixed", "fused", "none", 1)
FLOAT32 = Candidate("32-true", "fused", "none", 2)
FLOAT32_ONE = Candidate("32-true", "fused", "none", 1)
COMPILED = Candidate("bf16-mixed", "fused", "default", 2)
COMPILING = 20.0


class Found(NamedTuple):
    results: list[Result]
    winner: Result | None


def resolve(name: str, precision: str) -> str:
    if name not in ("auto", "fused"):
        raise UserError(f"forward={name}: not here")
    return "fused"


def find(
    seconds: dict[Candidate, Any], *overrides: str, planned_steps: int | None = 10_000, **options: Any
) -> tuple[Found, Track]:
    track = Track(
        {FLOAT32: 0.040, FLOAT32_ONE: 0.040, ONE_THREAD: 0.040, **seconds},
        compiling=lambda each: 0.0 if each.compile == "none" else COMPILING,
    )
    config = compose("tune=speed", *overrides)
    chosen = speed_options(**options)
    candidates, _ = sensible(config, chosen, CPU, resolve)
    modes = compile_modes(chosen, CPU) if is_open(config | {"tune": chosen.model_dump()}, "compile.mode") else []
    deadline = Deadline(chosen.max_seconds, track.clock)
    found = Found(*find_fastest(Race(chosen, track.start, deadline), candidates, modes, planned_steps))
    assert track.open == []
    return found, track


def winner(found: Found) -> Candidate:
    assert found.winner is not None
    return found.winner.candidate


def note(found: Found, candidate: Candidate) -> str:
    return next(result.note for result in found.results if result.candidate == candidate)


def test_the_fastest_wins_and_is_compared_with_what_would_run_without_tuning() -> None:
    found, _ = find({UNTUNED: 0.030, ONE_THREAD: 0.015}, compile=False)
    assert winner(found) == ONE_THREAD
    assert speedup(*found, UNTUNED) == pytest.approx(2.0)


def test_a_lead_within_the_margin_is_none() -> None:
    assert winner(find({UNTUNED: 0.0303, ONE_THREAD: 0.0300}, compile=False)[0]) == UNTUNED
    assert winner(find({UNTUNED: 0.0303, ONE_THREAD: 0.0300}, compile=False, margin=0.0)[0]) == ONE_THREAD


def test_compiling_wins_where_the_run_is_long_enough_to_win_its_time_back() -> None:
    seconds = {UNTUNED: 0.030, COMPILED: 0.020}  # 10 ms a step against 20 s: 2,000 steps
    found, _ = find(seconds, planned_steps=2_100)
    assert winner(found) == COMPILED
    assert found.winner is not None
    assert found.winner.compile_seconds == COMPILING
    found, _ = find(seconds, planned_steps=1_900)
    assert winner(found) == UNTUNED
    assert note(found, COMPILED) == "pays after 2,000 steps; this run has 1,900"
    assert winner(find(seconds, planned_steps=None)[0]) == COMPILED


def test_compiling_that_gains_nothing_is_not_taken() -> None:
    found, _ = find({UNTUNED: 0.030, COMPILED: 0.0298}, planned_steps=None)
    assert winner(found) == UNTUNED
    assert note(found, COMPILED) == "no faster than without compiling"


def test_compiling_is_compared_with_its_own_moment() -> None:
    """The machine has become half as fast by the time that the compiled one is timed."""
    found, _ = find({UNTUNED: [0.010] * 7 + [0.020], COMPILED: 0.018}, planned_steps=None)
    compiled = next(result for result in found.results if result.candidate == COMPILED)
    assert compiled.seconds == pytest.approx(0.009)
    assert winner(found) == COMPILED


def test_for_a_short_run_nothing_is_compiled() -> None:
    found, track = find({UNTUNED: 0.030, COMPILED: AssertionError("must not be tried")}, planned_steps=100)
    assert note(found, COMPILED) == "too short a run: 3 s"
    assert COMPILED not in track.steps


def test_without_time_left_nothing_is_compiled() -> None:
    found, track = find({UNTUNED: 0.030, COMPILED: AssertionError("must not be tried")}, max_seconds=10.0)
    assert note(found, COMPILED) == "too little time was left"
    assert COMPILED not in track.steps


def test_a_compiler_that_fails_is_noted() -> None:
    found, _ = find({UNTUNED: 0.030, COMPILED: RuntimeError("no compiler")})
    assert winner(found) == UNTUNED
    assert note(found, COMPILED) == "RuntimeError: no compiler"


def test_where_compiling_is_asked_for_every_candidate_is_compiled_one_at_a_time() -> None:
    compiled = {Candidate(each.precision, "fused", "default", each.threads): each for each in (UNTUNED, ONE_THREAD)}
    seconds = dict.fromkeys(compiled, 0.02)
    seconds[Candidate("bf16-mixed", "fused", "default", 1)] = 0.01
    found, track = find(seconds, "compile=default", "precision=bf16-mixed", max_seconds=500.0)
    assert winner(found) == Candidate("bf16-mixed", "fused", "default", 1)
    assert track.most_open == 1


def test_where_nothing_can_be_measured_nothing_is_chosen() -> None:
    failing = dict.fromkeys((UNTUNED, ONE_THREAD, FLOAT32, FLOAT32_ONE), RuntimeError("broken"))
    found, _ = find(failing)
    assert found.winner is None
    assert speedup(*found, UNTUNED) is None
