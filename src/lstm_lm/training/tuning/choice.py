"""What tuning has chosen, as settings of a plain configuration: which of them are open, and how they are set."""

import copy
from collections.abc import Mapping
from typing import Any

LEARNING_RATE = "optimizer.lr"
TYPED = {"trainer.precision": "precision", "forward.name": "forward"}


def is_open(config: Mapping[str, Any], key: str) -> bool:
    """Whether `config` (plain) leaves a setting, as `trainer.precision`, to tuning; what a person has set is kept."""
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
    result = copy.deepcopy(dict(config))
    for key in filter(lambda key: is_open(config, key), chosen):
        section, name = key.split(".")
        result[section][name] = chosen[key]
    result["tune"] = {"name": "none"}
    return result


def of_before(saved: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The tuning that a checkpoint (`saved` is its part of this project) carries, if `config` asks for that tuning."""
    tuning: dict[str, Any] | None = saved.get("tuning")
    return tuning if tuning is not None and tuning["name"] == config["tune"]["name"] else None


def as_typed(chosen: Mapping[str, Any]) -> str:
    """How the choice is typed: `precision=bf16-mixed forward=fused compile=none runtime.threads=2`."""
    words: list[str] = []
    for key, value in chosen.items():
        if key == "compile.enabled":
            words.append(f"compile={chosen['compile.mode'] if value else 'none'}")
        elif key not in ("precision.name", "compile.mode"):
            words.append(f"{TYPED.get(key, key)}={value}")
    return " ".join(words)
