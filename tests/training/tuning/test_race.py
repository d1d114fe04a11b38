"""A race of candidates, with planted times: who stays, who leaves, and what becomes of those that fail."""

import pytest
from tuning_cases import Track, candidate, speed_options

from lstm_lm.errors import RunError, UserError
from lstm_lm.training.tuning.candidates import Candidate
from lstm_lm.training.tuning.race import Deadline, Race, Result

A, B, C, D = (candidate(name) for name in "abcd")


def race(track: Track, *candidates: Candidate, **changes: object) -> dict[Candidate, Result]:
    options = speed_options(**{"rounds": 3, "steps": 2, "finalists": 4, "drop": 1.5, **changes})
    deadline = Deadline(options.max_seconds, track.clock)
    results = Race(options, track.start, deadline).run(candidates)
    assert track.open == [], "every trial is closed"
    return {result.candidate: result for result in results}


def test_those_that_are_near_each_other_are_timed_to_the_end_and_their_medians_count() -> None:
    # the first number is the single step that is looked at first
    track = Track({A: [0.010, 0.010, 0.090, 0.012, 0.011], B: [0.011, 0.011, 0.011, 0.011, 0.080]})
    results = race(track, A, B)
    assert results[A].timings == [0.010, 0.090, 0.012, 0.011]
    assert results[A].seconds == pytest.approx(0.0115)
    assert results[B].seconds == pytest.approx(0.011)
    assert {result.outcome for result in results.values()} == {"measured"}


def test_rounds_are_interleaved_and_nobody_always_goes_first() -> None:
    track = Track({A: 0.010, B: 0.010, C: 0.010})
    race(track, A, B, C)
    assert track.order[-6:] == [B, C, A, C, A, B]


def test_a_slow_candidate_leaves_after_its_first_timings() -> None:
    track = Track({A: 0.010, B: 0.020})
    results = race(track, A, B)
    assert (results[B].outcome, len(results[B].timings)) == ("dropped", 2)
    assert len(results[A].timings) == 4


def test_a_hopeless_candidate_is_given_a_single_step() -> None:
    track = Track({A: 0.010, B: 5.0})
    results = race(track, A, B)
    assert results[B].outcome == "dropped"
    assert track.steps[B] == 1


def test_an_early_leader_leaves_when_a_much_faster_one_comes() -> None:
    track = Track({A: 0.020, B: 0.010, C: 0.011})
    results = race(track, A, B, C)
    assert [results[each].outcome for each in (A, B, C)] == ["dropped", "measured", "measured"]


def test_one_hiccup_drops_nobody() -> None:
    track = Track({A: 0.010, B: [0.010, 0.019, 0.010]})
    assert race(track, A, B)[B].outcome == "measured"


def test_no_more_models_than_finalists_and_one_are_held_at_once() -> None:
    track = Track({A: 0.013, B: 0.012, C: 0.011, D: 0.010})
    results = race(track, A, B, C, D, finalists=2)
    assert track.most_open == 3
    assert [each for each in (A, B, C, D) if results[each].outcome == "measured"] == [C, D]


def test_what_cannot_run_or_fails_is_noted_and_the_others_go_on() -> None:
    refused = UserError("precision=16-mixed: a CPU has none\nuse another")
    track = Track({A: refused, B: RuntimeError("out of memory\nand more"), C: 0.010, D: ZeroDivisionError()})
    results = race(track, A, B, C, D)
    assert (results[A].outcome, results[A].note) == ("unable", "precision=16-mixed: a CPU has none")
    assert (results[B].outcome, results[B].note) == ("failed", "RuntimeError: out of memory")
    assert (results[D].outcome, results[D].note) == ("failed", "ZeroDivisionError")
    assert results[B].seconds is None
    assert results[C].outcome == "measured"


def test_a_full_disk_is_no_property_of_a_candidate() -> None:
    with pytest.raises(RunError):
        race(Track({A: RunError("full"), B: 0.010}), A, B)


def test_an_interruption_closes_what_is_open() -> None:
    track = Track({A: 0.010, B: 0.010})

    def interrupt() -> float:
        if len(track.order) == 4:
            raise KeyboardInterrupt
        return track.now

    track.clock = interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        Race(speed_options(), track.start, Deadline(50.0, track.clock)).run([A, B])
    assert track.open == []


def test_when_the_time_is_over_nothing_new_is_begun() -> None:
    track = Track({A: 0.010, B: 1.0, C: 0.010}, compiling=lambda each: 10.0 if each == B else 0.0)
    results = race(track, A, B, C, max_seconds=5.0)
    assert results[A].seconds == 0.010
    assert (results[C].outcome, results[C].note) == ("not tried", "no time was left")
    assert len(results[A].timings) == 2, "no further rounds either"
