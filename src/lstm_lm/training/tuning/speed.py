"""`tune=speed`: times the ways to run this very model on this very text, here and now, and chooses one."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lstm_lm import limits
from lstm_lm.durations import duration
from lstm_lm.forward import hardware
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel
from lstm_lm.training.build import build_compiled, workload_of
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.plan import Plan
from lstm_lm.training.signals import StopSignals
from lstm_lm.training.tuning.candidates import EAGER, Candidate, Machine, Variant, compile_modes, sensible
from lstm_lm.training.tuning.options import SpeedOptions, as_typed, chosen_config, is_open
from lstm_lm.training.tuning.race import Deadline, Race, Result
from lstm_lm.training.tuning.trial import StepTrial

TIMINGS = 40
"""One timing takes at most this part of `max_seconds`, but for a single step that takes longer."""
REACH = 1.5
"""A strategy this many times slower than the fastest may still win once it is compiled."""


def tune_speed(plan: Plan, options: SpeedOptions, signals: StopSignals, threads: int) -> dict[str, Any]:
    """What is found, as plain data: what tuning.json and checkpoints hold. `threads`: a run's that is not tuned.

    `name`, `device` (its type), `chosen` (keys of the configuration and values), `typed` (the same for the command
    line), `seconds` (that it took), `speedup` (against what would run without tuning) and `table` (one mapping a
    candidate, the fastest first).

    Raises:
        UserError, RunError: as `lstm_lm.training.build.build`.
        Interrupted: a signal came.
    """
    config, parts = plan.config, build_compiled(plan)
    model, device = parts.model, parts.hardware.device
    deadline = Deadline(options.max_seconds)

    def resolve(name: str, precision: str) -> str:
        hardware.check_precision(precision, device)
        return model.use_forward(name, device, workload_of(config, precision)).name

    def variants(name: str, precision: str) -> list[Variant]:
        if not isinstance(model, RecurrentLanguageModel):
            return []
        resolve(name, precision)
        stack = model.stack
        found = stack.strategy.variants(stack.spec, device, workload_of(config, precision))
        return [tuple(keys.items()) for keys in found]

    def start(candidate: Candidate) -> StepTrial:
        signals.check()
        plain = chosen_config(config.plain, candidate.settings())
        bound = plain["compile"]["max_seconds"]
        plain["compile"]["max_seconds"] = max(1.0, min(deadline.left, bound or deadline.left))
        candidate_plan = plan.with_config(TrainConfig.parse(plain))
        return StepTrial(candidate_plan, parts.data, signals, options.max_seconds / TIMINGS)

    machine = Machine(device.type, parts.hardware.precision, threads, limits.usable_cores())
    compiled = config.compile.mode if config.compile.enabled else EAGER
    reference = Candidate(machine.native_precision, parts.choice.name, compiled, threads)
    modes = compile_modes(options, machine) if is_open(config.plain, "compile.mode") else []
    candidates, unable = sensible(config.plain, options, machine, resolve, variants)
    results, winner = find_fastest(Race(options, start, deadline), candidates, modes, parts.total_steps)
    results += [Result(candidate, "unable", reason) for candidate, reason in unable]
    settings = {} if winner is None else winner.candidate.settings()
    chosen = {key: value for key, value in settings.items() if is_open(config.plain, key)}
    signals.check()
    fastest_first = sorted(results, key=lambda result: result.seconds or math.inf)
    return {
        "name": "speed",
        "device": device.type,
        "chosen": chosen,
        "typed": as_typed(chosen),
        "seconds": options.max_seconds - deadline.left,
        "speedup": speedup(results, winner, reference),
        "table": [_row(result, result is winner, reference) for result in fastest_first],
    }


def _row(result: Result, is_chosen: bool, reference: Candidate) -> dict[str, Any]:
    candidate, seconds = result.candidate, result.seconds
    return {
        "precision": candidate.precision,
        "forward": ", ".join([candidate.forward, *(str(value) for _, value in candidate.variant)]),
        "compile": candidate.compile,
        "threads": candidate.threads,
        "step_ms": None if seconds is None else seconds * 1e3,
        "compile_seconds": result.compile_seconds if candidate.compile != EAGER and seconds is not None else None,
        "outcome": result.outcome,
        "note": result.note,
        "chosen": is_chosen,
        "untuned": candidate == reference,
    }


def find_fastest(
    race: Race, candidates: Sequence[Candidate], modes: Sequence[str], planned_steps: int | None
) -> tuple[list[Result], Result | None]:
    """Time the candidates, and choose: what was measured, and the winner, None where nothing could be measured.

    Args:
        race: times them.
        candidates: what is sensible here; all compiled, or none.
        modes: of torch.compile, to try on the fastest of candidates that are not compiled.
        planned_steps: optimizer steps of the whole run; None: no limit is known.
    """
    if any(candidate.compile != EAGER for candidate in candidates):
        results = _one_by_one(race, candidates)
        return results, _best(results, race.options.margin)
    results = race.run(candidates)
    winner = _best(results, race.options.margin)
    if winner is not None:
        compiled = _try_compiled(race, _near(results, winner), winner, modes, planned_steps)
        results += compiled
        winner = _paying(compiled, winner, race.options.margin, planned_steps)
    return results, winner


def speedup(results: Sequence[Result], winner: Result | None, reference: Candidate) -> float | None:
    """Speed of the winner against the reference; None where one of them was not measured."""
    before = next((result.seconds for result in results if result.candidate == reference), None)
    after = winner.seconds if winner is not None else None
    return before / after if before and after else None


def _one_by_one(race: Race, candidates: Sequence[Candidate]) -> list[Result]:
    """Compiled candidates: making one ready forgets what was compiled for the others, so none waits for them."""
    results: list[Result] = []
    for candidate in candidates:
        fastest = min([timing for result in results for timing in result.timings], default=math.inf)
        results += race.run([candidate], to_beat=fastest)
    return results


def _best(results: list[Result], margin: float) -> Result | None:
    """The fastest; of those that are as good as it, the first."""
    measured = [(result, result.seconds) for result in results if result.outcome == "measured"]
    fastest = min((seconds for _, seconds in measured if seconds is not None), default=math.inf)
    return next((it for it, seconds in measured if seconds is not None and seconds <= fastest * (1 + margin)), None)


def _near(results: list[Result], winner: Result) -> list[Candidate]:
    """Of each strategy its fastest candidate, the fastest first, as far as it is within reach of the winner."""
    assert winner.seconds is not None
    timed = [(result.seconds, result.candidate) for result in results if result.seconds is not None]
    by_strategy: dict[str, Candidate] = {}
    for seconds, candidate in sorted(timed, key=lambda pair: pair[0]):
        if seconds <= REACH * winner.seconds:
            by_strategy.setdefault(candidate.forward, candidate)
    return list(by_strategy.values())


def _try_compiled(
    race: Race, near: list[Candidate], winner: Result, modes: Sequence[str], planned_steps: int | None
) -> list[Result]:
    """What is near the winner, compiled: each timed side by side with the winner as it is."""
    assert winner.seconds is not None
    reserve, compiled = race.options.compile_reserve, list[Result]()
    for candidate in [replace(each, compile=mode) for each in near for mode in modes]:
        if planned_steps is not None and planned_steps * winner.seconds < reserve:
            note = f"too short a run: {duration(planned_steps * winner.seconds)}"
            return [*compiled, Result(candidate, note=note)]
        if race.deadline.left < reserve:
            compiled.append(Result(candidate, note="too little time was left"))
            continue
        eager, result = race.run([winner.candidate, candidate], finalists=2)
        if result.timings and eager.seconds is None:
            result.outcome, result.note = "failed", f"nothing to compare it with: {eager.note}"
            result.timings.clear()
        elif eager.seconds is not None:
            # so that it may be compared with what was timed before, whatever the machine did meanwhile
            result.timings = [seconds * winner.seconds / eager.seconds for seconds in result.timings]
        compiled.append(result)
    return compiled


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
