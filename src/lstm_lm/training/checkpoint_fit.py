"""Whether what a checkpoint says of a training fits the training that is to resume from it.

Its digest tells damage, not intent. Every part is compared with one that is made here, fresh: the same names, types and
shapes, and numbers that can be. So a forged checkpoint ends in a line before the first step, and not in one.
"""

import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.optim import Optimizer

from lstm_lm.errors import UserError
from lstm_lm.models.interface import LanguageModel
from lstm_lm.runs.code_version import code_version
from lstm_lm.training.weight_average import WeightAverage

LIBRARIES = ("torch", "lightning")
"""Whose own state a checkpoint holds."""
MOST = 2**53
"""The largest count that is believed: of steps, windows, epochs."""
FREE_FLAGS = ("fused", "nesterov")
"""Of an optimizer's group: this run's to say, or the configuration's."""


class _Unlike(Exception):
    """The text says where, and what is wrong."""


def check(
    checkpoint: Mapping[str, Any], task: pl.LightningModule, model: LanguageModel, average: WeightAverage, path: Path
) -> None:
    """Compare all of it with `task`, which trains `model` and is about to resume from it, and with its `average`.

    Raises:
        UserError: something does not fit.
    """
    trainer, saved = task.trainer, checkpoint["lstm_lm"]
    # another version's own counters and options may have other names, which it leaves out or adds itself
    same = all(
        saved.get("code", {}).get(name) == version for name, version in code_version().items() if name in LIBRARIES
    )
    made: Any = task.configure_optimizers()
    batch_size = trainer.datamodule.options.batch_size  # type: ignore[attr-defined]
    try:
        _alike(checkpoint["state_dict"], task.state_dict(), "state_dict")
        _check_progress(checkpoint["loops"], trainer, exact=same)
        _check_optimizer(checkpoint["optimizer_states"][0], made["optimizer"], exact=same)
        schedule = made["lr_scheduler"]["scheduler"].state_dict()
        schedule["lr_lambdas"] = [None] * len(made["optimizer"].param_groups)  # no functions
        _alike(checkpoint["lr_schedulers"][0], schedule, "lr_schedulers", exact=same)
        _check_average(saved["averaging"], average)
        for process in (saved, *saved["other_processes"]):
            _check_process(process, model, batch_size)
    except _Unlike as error:
        raise UserError(
            f"{path}: training cannot resume from it as this run is set:\n{error}\n"
            "bring back the settings that it was trained with, or start a new run from its weights with init_from="
        ) from None


def _check_progress(saved: Mapping[str, Any], trainer: pl.Trainer, *, exact: bool) -> None:
    """Lightning's counters; whether places in the text are such is for the loaders to say."""
    loops = {"fit": trainer.fit_loop, "validate": trainer.validate_loop, "test": trainer.test_loop}
    fresh = {f"{name}_loop": loop.state_dict() for name, loop in {**loops, "predict": trainer.predict_loop}.items()}
    fresh["fit_loop"]["state_dict"] = {}
    saved = dict(saved)
    fit = saved.get("fit_loop")
    if isinstance(fit, dict) and isinstance(fit.get("state_dict"), dict):
        places = fit["state_dict"].get("combined_loader", [])
        if not isinstance(places, list) or len(places) > 1 or not all(isinstance(place, Mapping) for place in places):
            raise _Unlike("loops.fit_loop.state_dict: holds no place in one text")
        saved["fit_loop"] = fit | {"state_dict": {}}
    _alike(saved, fresh, "loops", exact=exact)


def _check_optimizer(saved: Mapping[str, Any], optimizer: Optimizer, *, exact: bool) -> None:
    fresh, where = optimizer.state_dict()["param_groups"], "optimizer_states.param_groups"
    groups: Any = saved.get("param_groups")
    if not isinstance(groups, list) or len(groups) != len(fresh) or not all(isinstance(one, Mapping) for one in groups):
        raise _Unlike(f"{where}: is no list of {len(fresh)}")
    expected = [
        own | {name: group[name] for name in FREE_FLAGS if isinstance(group.get(name), bool)}
        for own, group in zip(fresh, groups, strict=True)
    ]
    _alike(groups, expected, where, exact=exact)
    for group, own in zip(groups, expected, strict=True):
        if any(isinstance(value, bool) and group.get(name, value) != value for name, value in own.items()):
            raise _Unlike(f"{where}: has flags that no configuration sets")
    numbers = [number for group in fresh for number in group["params"]]
    if [number for group in groups for number in group["params"]] != numbers:
        raise _Unlike(f"{where}: of other parameters")
    state = saved.get("state")
    if not isinstance(state, dict) or not set(state) <= set(numbers):
        raise _Unlike("optimizer_states.state: of other parameters")
    for group, own in zip(groups, optimizer.param_groups, strict=True):
        for number, parameter in zip(group["params"], own["params"], strict=True):
            if number in state:
                kept = _kept(type(optimizer), group, parameter)
                _check_kept(state[number], kept, f"optimizer_states.state.{number}")
                _kept(type(optimizer), own, parameter, state[number])  # resume=force may have changed its options


def _kept(kind: type[Optimizer], group: Mapping[str, Any], parameter: Tensor, state: Any = None) -> dict[str, Any]:
    """What it remembers of a parameter after a step with the options of `group`, from `state` on; None: the first.

    Tried with shapes alone, or where it looks at numbers (Adafactor, ASGD), with zeros on the CPU.
    """
    taken = inspect.signature(kind).parameters.keys() - {"params", "fused"}
    options = {name: value for name, value in group.items() if name in taken}
    cause = ""
    for device in ("meta", "cpu"):
        number = torch.nn.Parameter(torch.zeros_like(parameter, device=device))
        number.grad = torch.zeros_like(number)
        try:
            trial = kind([number], **options)
            trial.state[number].update({name: _copied(value, number) for name, value in (state or {}).items()})
            trial.step()
        except KeyError as error:
            cause = f"optimizer_states.state: without {error}, which its options ask for now"
        except (ValueError, TypeError, RuntimeError, ArithmeticError) as error:
            cause = f"optimizer_states.param_groups: {(str(error) or type(error).__name__).splitlines()[0]}"
        else:
            return dict(trial.state[number])
    raise _Unlike(cause)


def _copied(value: Any, parameter: Tensor) -> Any:
    """As `Optimizer.load_state_dict` would take it over: of the parameter's type. Single numbers stay as they are."""
    if not isinstance(value, Tensor):
        return value
    return value.to(parameter, copy=True) if value.ndim else value.clone()


def _check_kept(values: Any, kept: Mapping[str, Any], where: str) -> None:
    if not isinstance(values, dict) or set(values) != set(kept):
        raise _Unlike(f"{where}: is not what this optimizer keeps")
    for name, value in values.items():
        if isinstance(kept[name], Tensor):
            if not isinstance(value, Tensor) or not value.is_floating_point() or value.shape != kept[name].shape:
                raise _Unlike(f"{where}.{name}: is not of the shape {list(kept[name].shape)}")
            if value.ndim == 0 and not 0 <= float(value) < MOST:  # steps, and what is computed from their number
                raise _Unlike(f"{where}.{name}: is no such value")
        else:
            _alike(value, kept[name], f"{where}.{name}")


def _check_average(saved: Mapping[str, Any], average: WeightAverage) -> None:
    """That of another rule is not taken over, and may be as it likes."""
    fresh = average.state_dict()
    if saved["options"] != fresh["options"]:
        return
    _alike(saved, {**fresh, "weights": average.like_weights() if saved["weights"] else {}}, "averaging")
    if bool(saved["weights"]) != bool(saved["count"]):
        raise _Unlike("averaging.count: does not fit its weights")


def _check_process(saved: Mapping[str, Any], model: LanguageModel, batch_size: int) -> None:
    """Hidden state and generators of one process."""
    state, generators = (_field(saved, name, "") for name in ("hidden", "generators"))
    if state is not None:
        _alike(state, model.initial_state(batch_size), "hidden")
        _check_indices(state, model)
    _check_generator(_field(generators, "torch", "generators"), "cpu", "generators.torch")
    if generators.get("cuda") is not None:
        _check_generator(generators["cuda"], "cuda", "generators.cuda")
    masks = _field(generators, "masks", "generators")
    _check_value(_field(masks, "seed", "generators.masks"), 0, "generators.masks.seed")
    if (device := masks.get("device")) is not None:
        _check_generator(masks.get("bits"), device, "generators.masks")


def _field(section: Any, name: str, where: str) -> Any:
    if not isinstance(section, Mapping) or name not in section:
        raise _Unlike(f"{where}.{name}: is missing".removeprefix("."))
    return section[name]


def _check_indices(state: Any, model: LanguageModel) -> None:
    """Tokens in the state of a model of windows are looked up in its embedding; counts grow."""
    if isinstance(state, (tuple, list)):
        for part in state:
            _check_indices(part, model)
    elif isinstance(state, Tensor) and not state.is_floating_point():
        rows = [len(weight) for name, weight in model.named_parameters() if name.startswith("embedding.")]
        most = MOST if state.ndim == 0 else max(rows)
        if state.numel() and not 0 <= int(state.min()) <= int(state.max()) < most:
            raise _Unlike("hidden: has tokens that there are not")


def _check_generator(state: Any, device: str, where: str) -> None:
    if not isinstance(state, Tensor) or state.dtype != torch.uint8 or state.ndim != 1:
        raise _Unlike(f"{where}: no generator's state")
    if device != "cpu" and not (device == "cuda" and torch.cuda.is_available()):
        return  # of a device that is not here: nobody will put it back
    try:
        torch.Generator(device).set_state(state.cpu())
    except (RuntimeError, TypeError):
        raise _Unlike(f"{where}: no generator's state") from None


def _alike(value: Any, fresh: Any, where: str, *, exact: bool = True) -> None:
    """Names, types and shapes of `value` are `fresh`'s; whole numbers count something, others are finite.

    Not `exact`: names that only one of them has are passed over. A list that is empty when it is fresh is one of
    numbers, which grows.
    """
    if isinstance(fresh, Mapping):
        if not isinstance(value, Mapping) or (exact and set(value) != set(fresh)):
            raise _Unlike(f"{where}: has other fields")
        for name in fresh:
            if name in value:
                _alike(value[name], fresh[name], f"{where}.{name}", exact=exact)
    elif isinstance(fresh, Tensor):
        if not isinstance(value, Tensor) or value.shape != fresh.shape:
            raise _Unlike(f"{where}: is no tensor of the shape {list(fresh.shape)}")
        if value.is_floating_point() != fresh.is_floating_point():
            raise _Unlike(f"{where}: is of another type")
    elif isinstance(fresh, (list, tuple)):
        if not isinstance(value, (list, tuple)) or (fresh and len(value) != len(fresh)):
            raise _Unlike(f"{where}: is no list of {len(fresh)}")
        for number, (one, other) in enumerate(zip(value, fresh or [0.0] * len(value), strict=True)):
            _alike(one, other, f"{where}.{number}", exact=exact)
    else:
        _check_value(value, fresh, where)


def _check_value(value: Any, fresh: Any, where: str) -> None:
    if fresh is None:
        fits = value is None
    elif isinstance(fresh, bool):
        fits = isinstance(value, bool)
    elif isinstance(fresh, int):
        fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST
    elif isinstance(fresh, float):
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    else:
        fits = isinstance(value, type(fresh))
    if not fits:
        raise _Unlike(f"{where}: is no such value")
