"""Optimizers: torch.optim's own, with weight decay where it belongs."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lstm_lm.errors import UserError
from lstm_lm.options import Options

Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]
NonNegative = Annotated[float, Field(ge=0)]
Groups = list[dict[str, Any]]


class AdamWOptions(Options):
    """`optimizer=adamw`."""

    name: str
    lr: Rate
    betas: Annotated[list[Decay], Field(min_length=2, max_length=2)]
    eps: Rate
    weight_decay: NonNegative


class SGDOptions(Options):
    """`optimizer=sgd`."""

    name: str
    lr: Rate
    momentum: Decay
    nesterov: bool
    weight_decay: NonNegative


class RMSpropOptions(Options):
    """`optimizer=rmsprop`."""

    name: str
    lr: Rate
    alpha: Decay
    eps: Rate
    momentum: Decay
    weight_decay: NonNegative


def _adamw(groups: Groups, options: AdamWOptions, fused: bool) -> Optimizer:
    betas = (options.betas[0], options.betas[1])
    return torch.optim.AdamW(groups, lr=options.lr, betas=betas, eps=options.eps, fused=fused)


def _sgd(groups: Groups, options: SGDOptions, fused: bool) -> Optimizer:
    return torch.optim.SGD(groups, lr=options.lr, momentum=options.momentum, nesterov=options.nesterov, fused=fused)


def _rmsprop(groups: Groups, options: RMSpropOptions, fused: bool) -> Optimizer:  # noqa: ARG001
    # PyTorch has no fused RMSprop
    return torch.optim.RMSprop(groups, lr=options.lr, alpha=options.alpha, eps=options.eps, momentum=options.momentum)


OPTIMIZERS: dict[str, tuple[type[Options], Callable[..., Optimizer]]] = {
    "adamw": (AdamWOptions, _adamw),
    "sgd": (SGDOptions, _sgd),
    "rmsprop": (RMSpropOptions, _rmsprop),
}


def optimizer_options(section: Mapping[str, Any]) -> Options:
    """Check the `optimizer` section.

    Raises:
        UserError: no such optimizer; a key is unknown or missing, or its value is out of range.
    """
    name = str(section.get("name"))
    if name not in OPTIMIZERS:
        raise UserError(f"optimizer={name}: no such optimizer\nchoose one of: {', '.join(OPTIMIZERS)}")
    options = OPTIMIZERS[name][0].parse(section, "optimizer")
    if isinstance(options, SGDOptions) and options.nesterov and options.momentum == 0:
        raise UserError("optimizer.nesterov=true: needs optimizer.momentum above 0")
    return options


def build_optimizer(model: nn.Module, options: Options, *, precision: str) -> Optimizer:
    """Make the optimizer for all of `model`'s parameters; matrices decay, biases and norms (one dimension) do not.

    The fused kernel is used wherever it is right; with `16-mixed` only where it can itself leave out a step whose
    gradients overflowed. Whether to fuse is never a checkpoint's to say: it may come from other devices.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decay = cast("AdamWOptions | SGDOptions | RMSpropOptions", options).weight_decay
    groups = [
        {"params": [parameter for parameter in parameters if parameter.ndim >= 2], "weight_decay": decay},
        {"params": [parameter for parameter in parameters if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    name = cast("AdamWOptions | SGDOptions | RMSpropOptions", options).name
    devices = {parameter.device for parameter in parameters}
    fused = all(device.type in ("cpu", "cuda", "mps") for device in devices)
    if precision == "16-mixed":
        fused = fused and _leaves_out_overflows(devices, options)
    optimizer = OPTIMIZERS[name][1](groups, options, fused)
    optimizer.register_load_state_dict_pre_hook(_with_own_kernel)
    return optimizer


def _leaves_out_overflows(devices: set[torch.device], options: Options) -> bool:
    """Whether PyTorch's fused kernel makes no step where a gradient scaler has found an overflow.

    It does not on Apple's GPUs, where it looks at no such finding; nor with parameters on several devices, whose
    findings the scaler adds up, where the kernel looks for exactly 1. And SGD's first step, if it is left out, leaves
    a momentum that is whatever the memory held.
    """
    return (
        len(devices) == 1
        and all(device.type != "mps" for device in devices)
        and not (isinstance(options, SGDOptions) and options.momentum)
    )


def _with_own_kernel(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """A saved state to load into `optimizer`, whose options stay as it was made with: resume=force may change them.

    Fused or not, too: a scaler goes by how it was made, and the kernel that does not look for overflows refuses to be
    told of them. The rate is the schedule's: see `go_on_with_own_rate`.
    """
    # not strict: torch itself refuses another number of groups
    groups = [
        {**saved, **{name: own[name] for name in own if name not in ("params", "lr")}}
        for saved, own in zip(state["param_groups"], optimizer.param_groups, strict=False)
    ]
    return {**state, "param_groups": groups}


def go_on_with_own_rate(scheduler: LambdaLR) -> None:
    """Have a schedule that goes on from a saved one begin at the rate that its optimizer was made with."""
    rates = [group["initial_lr"] for group in scheduler.optimizer.param_groups]
    if scheduler.base_lrs != rates:
        scheduler.base_lrs = rates
        for group, rate, factor in zip(scheduler.optimizer.param_groups, rates, scheduler.lr_lambdas, strict=True):
            group["lr"] = rate * factor(scheduler.last_epoch)


def beside_parameters(optimizer: Optimizer) -> None:
    """Put an optimizer's averages where their parameters are.

    Lightning puts all of a checkpoint's on the root device; layers may live on others.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.device != parameter.device:
                state[name] = value.to(parameter.device)
