"""The configuration's `tune` and `budget`, which settings they leave open, and how those that were chosen are set."""

import copy
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from lstm_lm.errors import UserError
from lstm_lm.forward.choose import PACKAGE
from lstm_lm.forward.hardware import TYPES
from lstm_lm.options import Options
from lstm_lm.registry import all_names
from lstm_lm.training.tuning.budget_options import (
    AS_DROPOUT,
    DROPOUT,
    LEARNING_RATE,
    BudgetOptions,
    budget_options,
    is_kept,
)

BUDGET = "budget"
TYPED = {"trainer.precision": "precision", "forward.name": "forward"}
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Names = Annotated[list[str], Field(min_length=1)] | None
Rate = Annotated[float, Field(gt=0)]


class NoTuning(Options):
    """`tune=none`."""

    name: str


class SpeedOptions(Options):
    """`tune=speed`."""

    name: str
    max_seconds: Seconds
    rounds: Count
    steps: Count
    finalists: Count
    drop: Annotated[float, Field(gt=1)]
    margin: Annotated[float, Field(ge=0, lt=1)]
    compile: bool
    compile_reserve: Seconds
    precisions: Names
    forwards: Names
    compile_modes: Annotated[list[Literal["default", "reduce-overhead", "max-autotune"]], Field(min_length=1)] | None
    threads: Annotated[list[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=1)] | None

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for key, known in (("precisions", list(TYPES)), ("forwards", all_names(PACKAGE))):
            unknown = [name for name in getattr(self, key) or [] if name not in known]
            if unknown:
                raise ValueError(f"{key}={unknown}: choose from {', '.join(known)}")
        return self


class LearningRateOptions(Options):
    """`tune=lr`."""

    name: str
    apply: bool
    min_lr: Rate
    max_lr: Rate
    steps: Annotated[int, Field(ge=30)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_lr >= self.max_lr:
            raise ValueError(f"min_lr={self.min_lr} must be below max_lr={self.max_lr}")
        return self


TuneOptions = NoTuning | SpeedOptions | LearningRateOptions | BudgetOptions
TUNINGS: dict[str, type[NoTuning | SpeedOptions | LearningRateOptions]] = {
    "none": NoTuning,
    "speed": SpeedOptions,
    "lr": LearningRateOptions,
}


def tune_options(section: Mapping[str, Any], config: Mapping[str, Any]) -> TuneOptions:
    """Check the `tune` section of `config` (plain), or its `budget`, where it has one.

    Raises:
        UserError: no such way of tuning; a key is unknown or missing, its value is out of range, or lists what to try
            of something that has been set already; `budget_options` refuses.
    """
    name = str(section.get("name"))
    if name not in TUNINGS:
        raise UserError(f"tune={name}: no such way of tuning\nchoose one of: {', '.join(TUNINGS)}")
    options = TUNINGS[name].parse(section, "tune")
    if config["budget"] is not None:
        return budget_options(config)
    if isinstance(options, SpeedOptions):
        lists = {  # what each list varies, and whether that is set
            "precisions": ("precision", str(config["trainer"].get("precision")) != "auto"),
            "forwards": ("forward", config["forward"].get("name") != "auto"),
            "compile_modes": ("compile", config["compile"].get("enabled")),
            "threads": ("runtime.threads", config["runtime"].get("threads") is not None),
        }
        for key, (varied, is_set) in lists.items():
            if getattr(options, key) is not None and is_set:
                raise UserError(
                    f"tune.{key}={getattr(options, key)}: {varied} is set already, so it does not vary\n"
                    f"leave {varied} as it is by default, or tune.{key}=null"
                )
    return options


def is_open(config: Mapping[str, Any], key: str) -> bool:
    """Whether `config` (plain) leaves a setting, as `trainer.precision`, to tuning; what a person has set is kept."""
    if config.get("budget") is not None:
        return not is_kept(config, key)
    tune, (section, name) = config["tune"], key.split(".")
    if key == LEARNING_RATE:
        return bool(tune["name"] == "lr" and tune["apply"])
    if tune["name"] != "speed":
        return False
    if section == "forward":
        return "auto" in (config["forward"]["name"], config["forward"].get(name))
    if section == "compile":
        return bool(tune["compile"] and not config["compile"]["enabled"])
    if section == "runtime":
        return config["runtime"]["threads"] is None
    return str(config["trainer"]["precision"]) == "auto"


def chosen_config(config: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `config` (plain) with those of the `chosen` settings that it leaves open, and nothing left to tune."""
    return laid_over(config, {key: value for key, value in chosen.items() if is_open(config, key)})


def laid_over(config: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `config` (plain) with these settings, and nothing left to tune."""
    result = copy.deepcopy(dict(config))
    for key, value in settings.items():
        section, name = key.split(".")
        result[section][name] = value
    return {**result, "tune": {"name": "none"}, "budget": None}


def asked_for(config: Mapping[str, Any]) -> str:
    """The name of the tuning that `config` (plain) asks for: that of `tune=`, or `budget`."""
    return BUDGET if config.get("budget") is not None else str(config["tune"]["name"])


def of_before(saved: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The tuning that a checkpoint (`saved` is its part of this project) carries, if `config` asks for that tuning."""
    tuning: dict[str, Any] | None = saved.get("tuning")
    return tuning if tuning is not None and tuning["name"] == asked_for(config) else None


def as_typed(chosen: Mapping[str, Any]) -> str:
    """How the choice is typed: `precision=bf16-mixed forward=fused compile=none runtime.threads=2`."""
    words: list[str] = []
    for key, value in chosen.items():
        if key == "compile.enabled":
            words.append(f"compile={chosen['compile.mode'] if value else 'none'}")
        elif key not in ("precision.name", "compile.mode") and not (key in AS_DROPOUT and DROPOUT in chosen):
            words.append(f"{TYPED.get(key, key)}={'null' if value is None else value}")
    return " ".join(words)
