"""What tells one run from another: the text, what is computed from it, how, and by which code.

`saved` is what a checkpoint holds under "lstm_lm", `config` a whole plain configuration.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from lightning.pytorch.callbacks import Timer

from lstm_lm.data.text_digests import digest_differences, text_digests
from lstm_lm.flat_keys import at, flat_keys
from lstm_lm.runs.code_version import code_differences, code_version
from lstm_lm.training.tuning.budget_options import seconds_of
from lstm_lm.training.tuning.options import BUDGET, asked_for, chosen_config, of_before

COMPUTATION_KEYS = ("model", "tokenizer", "data", "objective", "optimizer", "scheduler", "averaging")
"""Sections that say what is computed: the same function of the same text, or it is another run."""
COMPUTATION_KEYS_OF_TRAINER = (
    *("accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm"),
    *("overfit_batches", "limit_train_batches"),
)
"""Keys of `trainer` that do; the others are limits, logging, and how it is computed."""
LOCATION_KEYS = frozenset({"data.cache_dir", "data.path", "data.validation_path", "data.test_path"})
"""Where a text lies, not what it is: that its digests say."""
EXECUTION_KEYS = (
    *("forward", "precision", "compile", "device", "trainer", "callbacks", "logger", "runtime"),
    *("deterministic", "on_nonfinite"),
)
"""Sections and keys that say how, how long, and what is written about it: a resumed run may have others."""
LIMITS = ("max_epochs", "max_steps", "max_time", "min_epochs", "min_steps")
INCIDENTAL_KEYS = (
    *(f"trainer.{key}" for key in ("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "profiler")),
    *(f"trainer.{key}" for key in ("log_every_n_steps", "num_sanity_val_steps")),
    *("callbacks.checkpoint", "callbacks.monitor", "callbacks.progress", "callbacks.samples", "logger"),
    *("compile.max_seconds", "compile.recompile_limit"),
    *("resume", "data.cache_dir"),
)
"""Keys and sections on which no figure of a finished run depends: what is shown, logged and kept, and where that lies.

The one list of them: for a run that is finished, and for a row of a sweep or study (`sweeps/rows.py`).
"""
AUTO = "auto"
RESOLVED = {"trainer.precision": "precision", "precision.name": "precision", "forward.name": "forward"} | dict.fromkeys(
    ("trainer.accelerator", "device.accelerator"), "device"
)
"""Keys that may be `auto`, and where a checkpoint says what that was."""


def as_tuned(saved: Mapping[str, Any], config: Mapping[str, Any]) -> Mapping[str, Any]:
    """`config` with what was chosen when the run was begun, where that is chosen again."""
    tuning = of_before(saved, config)
    return config if tuning is None else chosen_config(config, tuning["chosen"])


def what_differs(saved: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Each key that says what is computed and differs, as `model.hidden_size: 128 then, 256 now`."""
    before, asked = saved["config"], as_tuned(saved, config)
    names = ["seed", *(f"trainer.{key}" for key in COMPUTATION_KEYS_OF_TRAINER)]
    for section in COMPUTATION_KEYS:
        names += [f"{section}.{key}" for key in sorted({*before[section], *asked[section]})]
    found: list[str] = []
    for name in names:
        then, now = at(before, name), at(asked, name)
        if name not in LOCATION_KEYS and then != now:
            found.append(f"{name}: {then!r} then, {now!r} now")
    return sorted(found, key=lambda line: ".name: " not in line)  # another model has other keys, too


def how_differs(saved: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Each key that says how it is computed and differs; one that a checkpoint does not know is none."""
    return list(_how(saved, config).values())


def result_differs(saved: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Why figures of the run that `saved` is of are not those of `config`, but for its text and its limits."""
    then, now = saved["config"], as_tuned(saved, config)
    how = [
        line
        for name, line in _how(saved, config).items()
        if not is_incidental(name)
        and name not in {f"trainer.{limit}" for limit in LIMITS}  # see `beyond`
        and not (at(then, name) == AUTO and at(now, name) in _typed(saved["resolved"], name))
    ]
    code = code_differences(saved["code"], code_version())
    return [*what_differs(saved, config), *how, *_tuning(saved, config), *code]


def _typed(resolved: Mapping[str, Any], name: str) -> set[str]:
    """What a person types for what `auto` was: PyTorch calls a device cuda that Lightning calls gpu."""
    found = resolved.get(RESOLVED.get(name, ""), "")
    return {found, "gpu"} if found == "cuda" else {found}


def other_texts(saved: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Each text that is another than the run's. The texts of `config` are read: the costly part.

    Raises:
        UserError: one is missing or cannot be read.
    """
    return digest_differences(saved["data"]["sources"], text_digests(config["data"]))


def beyond(checkpoint: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Each limit of `config` that the run has gone beyond: it is a longer run than what is asked for."""
    then, now = checkpoint["lstm_lm"]["config"]["trainer"], config["trainer"]
    found = []
    if 0 < (now.get("max_steps") or -1) < checkpoint["global_step"]:
        found.append("max_steps")
    if 0 < (now.get("max_epochs") or -1) <= checkpoint["epoch"]:
        found.append("max_epochs")
    limit, before = now.get("max_time"), then.get("max_time")
    shorter = limit is not None and (before is None or seconds(limit) < seconds(before))
    taken = elapsed(checkpoint) or checkpoint["lstm_lm"]["seconds"]
    if shorter and taken >= seconds(limit):
        found.append("max_time")
    return [f"trainer.{key}: {then.get(key)} then, {now[key]} now" for key in found]


def time_is_up(checkpoint: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether `trainer.max_time`, which counts the training of all processes of a run together, has been used up."""
    limit, taken = config["trainer"].get("max_time"), elapsed(checkpoint)
    return limit is not None and taken is not None and taken >= seconds(limit)


def elapsed(checkpoint: Mapping[str, Any]) -> float | None:
    """Seconds of training behind a checkpoint, as Lightning's timer counts them; None: there was no timer."""
    timer = checkpoint.get("callbacks", {}).get(Timer(timedelta()).state_key)
    return None if timer is None else float(timer["time_elapsed"]["train"])


def seconds(max_time: Any) -> float:
    """A duration as `trainer.max_time` takes it."""
    remaining = Timer(max_time).time_remaining()
    assert remaining is not None
    return remaining


def text_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two manifests as plain data: splits, texts, and where they were cut."""
    found: list[str] = []
    if then["splits"].keys() != now["splits"].keys():
        found.append(f"splits: {', '.join(then['splits'])} then, {', '.join(now['splits'])} now")
    found += digest_differences(then["sources"], now["sources"])
    if then.get("units") != now.get("units"):
        found.append(f"units: {_dealt(then.get('units'))} then, {_dealt(now.get('units'))} now")
    for split in (name for name in now["splits"] if name in then["splits"]):
        cuts = [[manifest["splits"][split][key] for key in ("start", "stop", "tokens")] for manifest in (then, now)]
        if cuts[0] != cuts[1]:
            found.append(f"{split} split: another part of the text: {cuts[0][2]:,} tokens then, {cuts[1][2]:,} now")
    return found


def _dealt(units: Any) -> str:
    return "none" if units is None else f"ended by {units['separator']!r}, dealt by the seed {units['seed']}"


def _tuning(saved: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Each key of `tune` that differs; a checkpoint's configuration has what was chosen in its place."""
    tuning = saved.get("tuning")
    then = {"name": "none"} if tuning is None else {"name": tuning["name"], **tuning["options"]}
    now = {**config["tune"], "name": asked_for(config)}
    if then["name"] != now["name"]:
        return [f"tune.name: {then['name']} then, {now['name']} now"]
    if now["name"] == BUDGET:
        return other_budget(saved, config)
    return [f"tune.{key}: {then.get(key)} then, {value} now" for key, value in now.items() if then.get(key) != value]


def other_budget(saved: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """As a difference, that a run was begun with another budget: its length and its schedule are for that one."""
    tuning, now = of_before(saved, config), config.get("budget")
    if tuning is None or now is None:
        return []
    before, time = tuning["options"].get("time"), now["time"] if isinstance(now, Mapping) else now
    return [] if seconds_of(before) == seconds_of(time) else [f"budget: {before} then, {time} now"]


def _how(saved: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
    """By key, what is computed in another way."""
    both = (saved["config"], as_tuned(saved, config))
    then, now = (flat_keys({name: part[name] for name in EXECUTION_KEYS if name in part}) for part in both)
    what = {f"trainer.{key}" for key in COMPUTATION_KEYS_OF_TRAINER}
    return {
        name: f"{name}: {then[name]} then, {value} now"
        for name, value in now.items()
        if name in then and name not in what and then[name] != value
    }


def is_incidental(name: str) -> bool:
    """Whether no figure of a finished run depends on the key `name`, in dotted form."""
    return any(is_below(name, key) for key in INCIDENTAL_KEYS)


def is_below(name: str, key: str) -> bool:
    """Whether `name` is `key`, or a key of that section."""
    return name == key or name.startswith(f"{key}.")
