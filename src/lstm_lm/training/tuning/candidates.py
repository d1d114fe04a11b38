"""Which ways to run a model are worth timing here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lstm_lm.errors import UserError
from lstm_lm.forward.choose import AUTO, DIRECT
from lstm_lm.registry import names
from lstm_lm.training.tuning.failure import first_line
from lstm_lm.training.tuning.options import SpeedOptions

REFERENCE = "stepwise"
"""The readable reference runs every cell, and is never the fastest where another strategy runs it too."""
MANY_CORES = 4
EAGER = "none"

Resolve = Callable[[str, str], str]
"""(strategy or auto, precision) -> the strategy that runs; raises UserError where it cannot run this model here."""
OtherCalls = Callable[[str, str], str | None]
"""(strategy, precision) -> the `forward.calls` that is not what auto takes; None: nothing else to try."""


@dataclass(frozen=True)
class Candidate:
    """One way to run a model: every *how* that tuning decides."""

    precision: str
    forward: str
    compile: str
    """A mode of torch.compile, or "none"."""
    threads: int
    calls: str | None = None
    """`forward.calls`, where it is another than auto's."""

    def settings(self) -> dict[str, Any]:
        """The keys of the configuration that say so."""
        compiled: dict[str, Any] = {"compile.enabled": self.compile != EAGER}
        if self.compile != EAGER:
            compiled["compile.mode"] = self.compile
        return {
            "trainer.precision": self.precision,
            "precision.name": self.precision,
            **({} if self.forward == DIRECT else {"forward.name": self.forward}),
            **({} if self.calls is None else {"forward.calls": self.calls}),
            **compiled,
            "runtime.threads": self.threads,
        }


@dataclass(frozen=True)
class Machine:
    """What decides which candidates are sensible."""

    device: str
    """cpu, cuda or mps."""
    native_precision: str
    """What precision=auto means."""
    threads: int
    """What runtime.threads=null means."""
    cores: int
    """Physical ones that this process may use."""


def sensible(
    config: Mapping[str, Any],
    options: SpeedOptions,
    machine: Machine,
    resolve: Resolve,
    other_calls: OtherCalls | None = None,
) -> tuple[list[Candidate], list[tuple[Candidate, str]]]:
    """The candidates, what would run without tuning first, and those that cannot run here, with the reason.

    torch.compile is left out unless `config` (plain) asks for it: it is tried afterwards, on the fastest.
    """
    asked = str(config["trainer"]["precision"])
    precisions = [asked] if asked != "auto" else options.precisions or [machine.native_precision, "32-true"]
    compiled = config["compile"]["mode"] if config["compile"]["enabled"] else EAGER
    good: list[Candidate] = []
    bad: list[tuple[Candidate, str]] = []
    for precision in dict.fromkeys(precisions):
        able, unable = _forwards(config["forward"]["name"], options.forwards, precision, resolve)
        threads = _threads(config["runtime"]["threads"], options.threads, machine)
        good += [
            Candidate(precision, name, compiled, count, calls)
            for name in able
            for count in threads
            for calls in dict.fromkeys([None, other_calls and other_calls(name, precision)])
        ]
        bad += [(Candidate(precision, name, compiled, threads[0]), reason) for name, reason in unable]
    return good, bad


def compile_modes(options: SpeedOptions, machine: Machine) -> list[str]:
    """Modes of torch.compile to try."""
    if options.compile_modes is not None:
        return list(options.compile_modes)
    return ["default", "reduce-overhead"] if machine.device == "cuda" else ["default"]


def _forwards(
    asked: str, listed: list[str] | None, precision: str, resolve: Resolve
) -> tuple[list[str], list[tuple[str, str]]]:
    """Strategies, and apart those that cannot run with their reason; what `auto` takes is the first."""
    if asked == AUTO and listed is None and _is_direct(precision, resolve):
        return [DIRECT], []
    tried = [asked] if asked != "auto" else listed or names("lstm_lm.forward.strategies")
    able: list[str] = []
    unable: list[tuple[str, str]] = []
    for name in tried:
        try:
            able.append(resolve(name, precision))
        except UserError as error:
            unable.append((name, first_line(error)))
    if asked == "auto" and listed is None and len(able) > 1 and REFERENCE in able:
        able.remove(REFERENCE)
    if len(able) > 1:
        auto = resolve("auto", precision)
        able.sort(key=lambda name: name != auto)
    return able, unable


def _is_direct(precision: str, resolve: Resolve) -> bool:
    """Whether the model has no recurrent layers, and so nothing for a strategy to run."""
    try:
        return resolve(AUTO, precision) == DIRECT
    except UserError:
        return False


def _threads(asked: int | None, listed: list[int] | None, machine: Machine) -> list[int]:
    if asked is not None:
        return [asked]
    if machine.device != "cpu":
        return [machine.threads]
    half = [machine.cores // 2] if machine.cores > MANY_CORES else []
    return list(dict.fromkeys(listed or [machine.threads, machine.cores, *half, 1]))
