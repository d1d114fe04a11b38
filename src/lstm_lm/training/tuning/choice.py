"""What tuning has chosen, as settings of a plain configuration: which of them are open, and how they are set."""

import copy
from collections.abc import Mapping
from typing import Any

LEARNING_RATE = "optimizer.lr"


def open_keys(config: Mapping[str, Any]) -> set[str]:
    """The settings, as `trainer.precision`, that `config` (plain) leaves to tuning; what a person has set is kept."""
    tune, found = config["tune"], set[str]()
    if tune["name"] == "lr" and tune["apply"]:
        found.add(LEARNING_RATE)
    if tune["name"] == "speed":
        if str(config["trainer"]["precision"]) == "auto":
            found |= {"trainer.precision", "precision.name"}
        if config["forward"]["name"] == "auto":
            found |= {"forward.name", "forward.calls"}
        elif config["forward"].get("calls") == "auto":
            found.add("forward.calls")
        if tune["compile"] and not config["compile"]["enabled"]:
            found |= {"compile.enabled", "compile.mode"}
        if config["runtime"]["threads"] is None:
            found.add("runtime.threads")
    return found


def chosen_config(config: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `config` (plain) with those of the `chosen` settings that it leaves open, and nothing left to tune."""
    result = copy.deepcopy(dict(config))
    for key in open_keys(config) & chosen.keys():
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
    if "trainer.precision" in chosen:
        words.append(f"precision={chosen['trainer.precision']}")
    if "forward.name" in chosen:
        words.append(f"forward={chosen['forward.name']}")
    if "compile.enabled" in chosen:
        words.append(f"compile={chosen['compile.mode'] if chosen['compile.enabled'] else 'none'}")
    words += [f"{key}={chosen[key]}" for key in ("forward.calls", "runtime.threads", LEARNING_RATE) if key in chosen]
    return " ".join(words)
