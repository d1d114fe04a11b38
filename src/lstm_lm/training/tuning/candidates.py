"""Which ways to run a model are worth timing here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lstm_lm.errors import UserError
from lstm_lm.forward.choose import AUTO, DIRECT, PACKAGE
from lstm_lm.registry import names
from lstm_lm.training.tuning.options import SpeedOptions, is_open

REFERENCE = "stepwise"
"""The readable reference runs every cell, and is never the fastest where another strategy runs it too."""
MANY_CORES = 4
EAGER = "none"

Variant = tuple[tuple[str, Any], ...]
"""Keys of the `forward` section, and values other than a strategy takes by itself."""
Resolve = Callable[[str, str], str]
"""(strategy or auto, precision) -> the strategy that runs; raises UserError where it cannot run this model here."""
Variants = Callable[[str, str], Sequence[Variant]]
"""(strategy, precision) -> its variants that are worth timing."""


@dataclass(frozen=True)
class Candidate:
    """One way to run a model: every *how* that tuning decides."""

    precision: str
    forward: str
    compile: str
    """A mode of torch.compile, or "none"."""
    threads: int
    variant: Variant = ()

    def settings(self) -> dict[str, Any]:
        """The keys of the configuration that say so."""
        forward = {} if self.forward == DIRECT else {"name": self.forward, **dict(self.variant)}
        return {
            "trainer.precision": self.precision,
            "precision.name": self.precision,
            **{f"forward.{key}": value for key, value in forward.items()},
            "compile.enabled": self.compile != EAGER,
            **({} if self.compile == EAGER else {"compile.mode": self.compile}),
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


class TrialFailed(Exception):
    """A candidate could not be made ready; the first line says why."""


def sensible(
    config: Mapping[str, Any],
    options: SpeedOptions,
    machine: Machine,
    resolve: Resolve,
    variants: Variants = lambda name, precision: (),  # noqa: ARG005
) -> tuple[list[Candidate], list[tuple[Candidate, str]]]:
    """The candidates, what would run without tuning first, and those that cannot run here, with the reason.

    torch.compile is left out unless `config` (plain) asks for it: it is tried afterwards, on the fastest.
    """
    asked = str(config["trainer"]["precision"])
    precisions = [asked] if asked != AUTO else options.precisions or [machine.native_precision, "32-true"]
    threads = _threads(config["runtime"]["threads"], options.threads, machine)
    compiled = config["compile"]["mode"] if config["compile"]["enabled"] else EAGER
    good: list[Candidate] = []
    bad: list[tuple[Candidate, str]] = []
    for precision in dict.fromkeys(precisions):
        able, unable = _forwards(config["forward"]["name"], options.forwards, precision, resolve)
        ways = [(name, variant) for name in able for variant in [(), *variants(name, precision)]]
        ways = [(name, it) for name, it in ways if all(is_open(config, f"forward.{key}") for key, _ in it)]
        good += [Candidate(precision, name, compiled, count, it) for name, it in ways for count in threads]
        bad += [(Candidate(precision, name, compiled, threads[0]), reason) for name, reason in unable]
    return good, bad


def compile_modes(options: SpeedOptions, machine: Machine) -> list[str]:
    """Modes of torch.compile to try."""
    if options.compile_modes is not None:
        return list(options.compile_modes)
    return ["default", "reduce-overhead"] if machine.device == "cuda" else ["default"]


def first_line(error: Exception) -> str:
    """What there is room for in a table; an error that does not explain itself is reported with its type."""
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else ""
    explains = isinstance(error, (UserError, TrialFailed)) and text
    return text if explains else f"{type(error).__name__}: {text}".removesuffix(": ")


def _forwards(
    asked: str, listed: list[str] | None, precision: str, resolve: Resolve
) -> tuple[list[str], list[tuple[str, str]]]:
    """Strategies, and apart those that cannot run with their reason; what `auto` takes is the first."""
    able: list[str] = []
    unable: list[tuple[str, str]] = []
    tried = [asked] if asked != AUTO else listed or [AUTO, *names(PACKAGE)]
    for name in tried:
        try:
            found = resolve(name, precision)
        except UserError as error:
            if name != AUTO:  # each strategy has its own reason
                unable.append((name, first_line(error)))
            continue
        if found == DIRECT:  # no recurrent layers, and so nothing for a strategy to run
            return [DIRECT], []
        able.append(found)
    able = list(dict.fromkeys(able))
    if tried[0] == AUTO and len(able) > 1 and REFERENCE in able:
        able.remove(REFERENCE)
    if len(able) > 1:
        first = resolve(AUTO, precision)
        able.sort(key=lambda name: name != first)
    return able, unable


def _threads(asked: int | None, listed: list[int] | None, machine: Machine) -> list[int]:
    if asked is not None:
        return [asked]
    if machine.device != "cpu":
        return [machine.threads]
    half = [machine.cores // 2] if machine.cores > MANY_CORES else []
    return list(dict.fromkeys(listed or [machine.threads, machine.cores, *half, 1]))
