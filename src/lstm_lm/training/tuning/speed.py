"""`tune=speed`: times the ways to run this very model on this very text, here and now."""

from pathlib import Path
from typing import Any

import torch

from lstm_lm import limits
from lstm_lm.forward import hardware
from lstm_lm.forward.strategies.fused import Fused
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel
from lstm_lm.training import together
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.distributed import ALONE
from lstm_lm.training.parts import workload_of
from lstm_lm.training.tuning.candidates import EAGER, Candidate, Machine
from lstm_lm.training.tuning.choice import as_typed, chosen_config, open_keys
from lstm_lm.training.tuning.fastest import Found, find_fastest
from lstm_lm.training.tuning.options import SpeedOptions
from lstm_lm.training.tuning.race import Deadline, Result
from lstm_lm.training.tuning.trial import StepTrial

TIMINGS = 40
"""One timing takes at most this part of `max_seconds`, but for a single step that takes longer."""


def tune_speed(config: TrainConfig, options: SpeedOptions, checkpoint: Path | None) -> dict[str, Any]:
    """What is found, as plain data (see `record`); the run may continue `checkpoint`.

    Raises:
        UserError, RunError: as `lstm_lm.training.parts.build_parts`.
    """
    parts = together.prepare(config, checkpoint, ALONE)
    machine, data = parts.hardware, parts.data
    threads = torch.get_num_threads()
    deadline = Deadline.after(options.max_seconds)

    def resolve(name: str, precision: str) -> str:
        hardware.check_precision(precision, machine.device)
        return parts.model.use_forward(name, machine.device, workload_of(config, precision)).name

    def other_calls(name: str, precision: str) -> str | None:
        model, is_open = parts.model, "forward.calls" in open_keys(config.plain)
        if name != Fused.name or not is_open or not isinstance(model, RecurrentLanguageModel):
            return None
        return Fused().other_calls(model.stack.spec, machine.device, workload_of(config, precision))

    def start(candidate: Candidate) -> StepTrial:
        plain = chosen_config(config.plain, candidate.settings())
        bound = plain["compile"]["max_seconds"]
        plain["compile"]["max_seconds"] = max(1.0, min(deadline.left, bound or deadline.left))
        return StepTrial(TrainConfig.parse(plain), checkpoint, data, options.max_seconds / TIMINGS)

    found = find_fastest(
        config.plain,
        options,
        Machine(machine.device.type, machine.precision, threads, limits.usable_cores()),
        resolve,
        Candidate(
            machine.precision,
            parts.choice.name,
            config.compile.mode if config.compile.enabled else EAGER,
            threads,
        ),
        parts.total_steps,
        start,
        deadline,
        other_calls,
    )
    return record(found, config, machine.device.type, options.max_seconds - deadline.left)


def record(found: Found, config: TrainConfig, device: str, seconds: float) -> dict[str, Any]:
    """What tuning.json and checkpoints hold: plain data.

    `name`, `device` (its type), `chosen` (keys of the configuration and values), `typed` (the same for the command
    line), `seconds` (that it took), `speedup` (see `Found`) and `table` (one mapping a candidate, the fastest first).
    """
    open_here = open_keys(config.plain)
    settings = found.winner.candidate.settings() if found.winner is not None else {}
    chosen = {key: value for key, value in settings.items() if key in open_here}
    return {
        "name": "speed",
        "device": device,
        "chosen": chosen,
        "typed": as_typed(chosen),
        "seconds": seconds,
        "speedup": found.speedup,
        "table": [_row(result, found) for result in sorted(found.results, key=_order)],
    }


def _order(result: Result) -> tuple[bool, float]:
    return result.seconds is None, result.seconds or 0.0


def _row(result: Result, found: Found) -> dict[str, Any]:
    candidate, seconds = result.candidate, result.seconds
    return {
        "precision": candidate.precision,
        "forward": candidate.forward if candidate.calls is None else f"{candidate.forward}, {candidate.calls}",
        "compile": candidate.compile,
        "threads": candidate.threads,
        "step_ms": None if seconds is None else seconds * 1e3,
        "compile_seconds": result.compile_seconds if candidate.compile != EAGER and seconds is not None else None,
        "outcome": result.outcome,
        "note": result.note,
        "chosen": result is found.winner,
        "untuned": candidate == found.reference,
    }
