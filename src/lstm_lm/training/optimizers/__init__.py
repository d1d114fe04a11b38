"""Optimizers. One module is one option of the group `optimizer=`."""

from collections.abc import Collection, Mapping
from typing import Any

# Not the module itself: where `optimizer=torch` is imported, this package's `torch` is that.
from torch import Tensor, bfloat16, device, dtype, float32, nn
from torch.optim import Optimizer

from lstm_lm.forward.trials import products_in_hardware
from lstm_lm.registry import find
from lstm_lm.training.optimizers.interface import OptimizerOptions


def optimizer_options(section: Mapping[str, Any]) -> OptimizerOptions:
    """Check the `optimizer` section.

    Raises:
        UserError: no such optimizer; a key is unknown or missing, or its value is out of range.
    """
    kind: type[OptimizerOptions] = find(__name__, str(section.get("name")), "optimizer").OPTIMIZER
    return kind.parse(section, "optimizer")


def build_optimizer(model: nn.Module, options: OptimizerOptions, *, precision: str) -> Optimizer:
    """Make the optimizer for all of `model`'s trained parameters, in the groups that `options` make of them.

    The fused kernel is used wherever it is right; with `16-mixed` only where it can itself leave out a step whose
    gradients overflowed. Whether to fuse is never a checkpoint's to say: it may come from other devices.
    """
    devices = {parameter.device for parameter in model.parameters() if parameter.requires_grad}
    fused = all(each.type in ("cpu", "cuda", "mps") for each in devices)
    if precision == "16-mixed":
        fused = fused and options.leaves_out_overflows and _fused_heeds_the_scaler(devices)
    optimizer = options.make(options.groups(model), fused=fused, products=_products(devices, precision))
    optimizer.register_load_state_dict_pre_hook(_with_own_options)
    return optimizer


def _products(devices: Collection[device], precision: str) -> dtype:
    """bfloat16 where the layers are computed in it and all devices multiply in it; float32 elsewhere."""
    if precision.startswith("bf16") and all(products_in_hardware(each, bfloat16) for each in devices):
        return bfloat16
    return float32


def _fused_heeds_the_scaler(devices: set[device]) -> bool:
    """Whether PyTorch's fused kernels make no step where a gradient scaler has found an overflow.

    Apple's look at no such finding; and with parameters on several devices the scaler adds the findings up, where the
    kernels look for exactly 1.
    """
    return len(devices) == 1 and all(each.type != "mps" for each in devices)


def _with_own_options(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """A saved state to load into `optimizer`, whose options stay as it was made with: resume=force may change them.

    Fused or not, too: a scaler goes by how it was made, and the kernel that does not look for overflows refuses them as
    an argument. The rate is the schedule's: see `schedulers.reset_base_lrs`.
    """
    # not strict: torch itself refuses another number of groups
    groups = [
        {**saved, **{name: own[name] for name in own if name not in ("params", "lr")}}
        for saved, own in zip(state["param_groups"], optimizer.param_groups, strict=False)
    ]
    return {**state, "param_groups": groups}


def beside_parameters(optimizer: Optimizer) -> None:
    """Put an optimizer's averages where their parameters are.

    Lightning puts all of a checkpoint's on the root device; layers may live on others.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.ndim and value.device != parameter.device:
                state[name] = value.to(parameter.device)
