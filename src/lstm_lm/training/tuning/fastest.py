"""The decision of `tune=speed`: from candidates and what times them to the one to train with."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lstm_lm.training.tuning.candidates import Candidate, Machine, OtherCalls, Resolve, compile_modes, sensible
from lstm_lm.training.tuning.options import SpeedOptions
from lstm_lm.training.tuning.race import Deadline, Race, Result, Start

REACH = 1.5
"""A strategy this many times slower than the fastest may still win once it is compiled."""


@dataclass
class Found:
    """What was measured, and the winner: None where nothing could be measured."""

    results: list[Result]
    winner: Result | None
    reference: Candidate
    """What would run without tuning."""

    @property
    def speedup(self) -> float | None:
        """Speed of the winner against the reference; None where one of them was not measured."""
        before = next((result.seconds for result in self.results if result.candidate == self.reference), None)
        after = self.winner.seconds if self.winner is not None else None
        return before / after if before and after else None


def find_fastest(
    config: Mapping[str, Any],
    options: SpeedOptions,
    machine: Machine,
    resolve: Resolve,
    reference: Candidate,
    planned_steps: int | None,
    start: Start,
    deadline: Deadline,
    other_calls: OtherCalls | None = None,
) -> Found:
    """Time what is sensible, and choose.

    Args:
        config: plain; what it sets does not vary.
        options: the `tune` section.
        machine: where it runs.
        resolve: tells which strategy runs, or refuses.
        reference: what would run without tuning.
        planned_steps: optimizer steps of the whole run; None: no limit is known.
        start: makes a candidate ready to be timed.
        deadline: when to end.
        other_calls: tells how else a strategy may call its kernel.
    """
    candidates, unable = sensible(config, options, machine, resolve, other_calls)
    if config["compile"]["enabled"]:
        results = _one_by_one(candidates, options, start, deadline)
    else:
        results = Race(options, start, deadline).run(candidates)
    winner = _best(results, options.margin)
    if winner is not None and options.compile and not config["compile"]["enabled"]:
        compiled = _try_compiled(results, winner, options, machine, planned_steps, start, deadline)
        results = results + compiled
        winner = _paying(compiled, winner, options.margin, planned_steps)
    results += [Result(candidate, "unable", reason) for candidate, reason in unable]
    return Found(results, winner, reference)


def _one_by_one(candidates: list[Candidate], options: SpeedOptions, start: Start, deadline: Deadline) -> list[Result]:
    """Compiled candidates: making one ready forgets what was compiled for the others, so none waits for them."""
    results: list[Result] = []
    fastest: float | None = None
    for candidate in candidates:
        result = Race(options, start, deadline, fastest).run([candidate])[0]
        results.append(result)
        if result.timings:
            fastest = min([*result.timings, *([] if fastest is None else [fastest])])
    return results


def _best(results: list[Result], margin: float) -> Result | None:
    """The fastest; of those that are as good as it, the first."""
    measured = [(result, result.seconds) for result in results if result.outcome == "measured"]
    fastest = min((seconds for _, seconds in measured if seconds is not None), default=None)
    if fastest is None:
        return None
    return next(result for result, seconds in measured if seconds is not None and seconds <= fastest * (1 + margin))


def _try_compiled(
    results: list[Result],
    winner: Result,
    options: SpeedOptions,
    machine: Machine,
    planned_steps: int | None,
    start: Start,
    deadline: Deadline,
) -> list[Result]:
    """The winner, and others that are near it, compiled: each timed side by side with the winner as it is."""
    assert winner.seconds is not None
    modes, entries = compile_modes(options, machine), list[Result]()
    for result in _near(results, winner.seconds):
        for mode in modes:
            entry = Result(replace(result.candidate, compile=mode))
            entries.append(entry)
            if planned_steps is not None and planned_steps * winner.seconds < options.compile_reserve:
                entry.note = f"too short a run: {planned_steps * winner.seconds:.0f} s"
                return entries
            if deadline.left < options.compile_reserve:
                entry.note = "too little time was left"
                continue
            duel = options.model_copy(update={"finalists": 2})
            eager, compiled = Race(duel, start, deadline).run([winner.candidate, entry.candidate])
            if compiled.timings and eager.seconds is None:
                compiled.outcome, compiled.note = "failed", f"nothing to compare it with: {eager.note}"
                compiled.timings.clear()
            elif compiled.timings and eager.seconds is not None:
                # so that it may be compared with what was timed before, whatever the machine did meanwhile
                scale = winner.seconds / eager.seconds
                compiled.timings = [seconds * scale for seconds in compiled.timings]
            entries[-1] = compiled
    return entries


def _near(results: list[Result], fastest: float) -> list[Result]:
    """Of each strategy its fastest result, the fastest first, as far as it is within reach."""
    timed = [(result.seconds, result) for result in results if result.seconds is not None]
    by_strategy: dict[str, Result] = {}
    for seconds, result in sorted(timed, key=lambda pair: pair[0]):
        if seconds <= REACH * fastest:
            by_strategy.setdefault(result.candidate.forward, result)
    return list(by_strategy.values())


def _paying(compiled: list[Result], winner: Result, margin: float, planned_steps: int | None) -> Result:
    """The one that ends first, compiling included; a gain within `margin` is none."""
    assert winner.seconds is not None
    best, soonest = winner, winner.seconds * (planned_steps or 1)
    for result in compiled:
        if result.outcome != "measured" or result.seconds is None:
            continue
        gain = winner.seconds - result.seconds
        if gain <= margin * winner.seconds:
            result.note = "no faster than without compiling"
            continue
        needed = result.compile_seconds / gain
        if planned_steps is not None and needed >= planned_steps:
            result.note = f"pays after {needed:,.0f} steps; this run has {planned_steps:,}"
            continue
        total = result.seconds if planned_steps is None else result.compile_seconds + planned_steps * result.seconds
        if total < soonest:
            best, soonest = result, total
    return best
