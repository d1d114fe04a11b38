"""`tune=speed`: times the ways to run this very model on this very text, here and now."""

from typing import Any

import torch

from lstm_lm import limits
from lstm_lm.forward import hardware
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel
from lstm_lm.training.build import prepare, workload_of
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.plan import Plan
from lstm_lm.training.processes.team import ALONE
from lstm_lm.training.signals import StopSignals
from lstm_lm.training.tuning.candidates import EAGER, Candidate, Machine, Variant, compile_modes, sensible
from lstm_lm.training.tuning.choice import as_typed, chosen_config, is_open
from lstm_lm.training.tuning.fastest import find_fastest, speedup
from lstm_lm.training.tuning.options import SpeedOptions
from lstm_lm.training.tuning.race import Deadline, Race, Result
from lstm_lm.training.tuning.trial import StepTrial

TIMINGS = 40
"""One timing takes at most this part of `max_seconds`, but for a single step that takes longer."""


def tune_speed(plan: Plan, options: SpeedOptions, signals: StopSignals) -> dict[str, Any]:
    """What is found, as plain data: what tuning.json and checkpoints hold.

    `name`, `device` (its type), `chosen` (keys of the configuration and values), `typed` (the same for the command
    line), `seconds` (that it took), `speedup` (against what would run without tuning) and `table` (one mapping a
    candidate, the fastest first).

    Raises:
        UserError, RunError: as `lstm_lm.training.build.build`.
        Interrupted: a signal came.
    """
    config, parts = plan.config, prepare(plan, ALONE)
    model, device, threads = parts.model, parts.hardware.device, torch.get_num_threads()
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
    return {
        "name": "speed",
        "device": device.type,
        "chosen": chosen,
        "typed": as_typed(chosen),
        "seconds": options.max_seconds - deadline.left,
        "speedup": speedup(results, winner, reference),
        "table": [_row(result, result is winner, reference) for result in sorted(results, key=_order)],
    }


def _order(result: Result) -> tuple[bool, float]:
    return result.seconds is None, result.seconds or 0.0


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
