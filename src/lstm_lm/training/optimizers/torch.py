"""`optimizer=torch`: any class of torch.optim by its name, with the keyword arguments of its own signature.

The class is looked up among those that torch.optim exports: a configuration can name nothing else. It takes a step on
two small parameters before any text is read, so that what it refuses is refused in time.
"""

import difflib
import inspect
from collections.abc import Mapping
from functools import cache, reduce
from operator import or_
from types import NoneType, UnionType
from typing import Annotated, Any, Self, Union, get_args, get_origin

import torch
from pydantic import ConfigDict, Field, create_model
from torch import Tensor, nn
from torch.optim import Optimizer

from lstm_lm.errors import UserError
from lstm_lm.options import Options, shown_key
from lstm_lm.training.optimizers.interface import Groups, OptimizerOptions

REFUSED = {
    "LBFGS": "asks for the loss of a window many times a step, and a window is read once here",
    "Muon": "takes matrices alone, and models have biases: use optimizer=muon, which gives those AdamW's steps",
    "Optimizer": "makes no steps: it is what the others are derived from",
    "SparseAdam": "takes sparse gradients alone, and no model here has any: use optimizer.cls=Adam",
}
"""Classes that cannot train a model here, and why."""
DECIDED_HERE = {
    "params": "all of the model's are trained",
    "fused": "precision and device decide which kernel runs",
    "foreach": "precision and device decide which kernel runs",
    "capturable": "no step is recorded in a CUDA graph",
    "differentiable": "nothing is differentiated through a step",
    "maximize": "training makes a loss smaller",
}
"""Arguments that the configuration does not give, and why."""
KEYS = ("lr", "weight_decay")
"""Arguments that are keys of every optimizer here."""
NO_FUSED_KERNEL_ON_MPS = ("Adagrad",)
LONGEST_CAUSE = 200


class TorchOptimizer(OptimizerOptions):
    """A class of torch.optim; keys beside these are its keyword arguments."""

    model_config = ConfigDict(extra="allow")

    cls: str

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str) -> Self:
        """Check `values`: the arguments by the class's signature, then all of them by the class itself.

        Raises:
            UserError: no such class, or one that cannot train a model here; an argument is unknown, missing or wrong.
        """
        options = super().parse(values, where)
        kind = options.kind
        _check_names(kind, options.model_extra or {})
        given = {"lr": options.lr, **options.arguments}
        if "weight_decay" in _signature(kind):
            given["weight_decay"] = options.weight_decay
        elif options.weight_decay:
            raise UserError(
                f"optimizer.weight_decay={options.weight_decay:g}: torch.optim.{kind.__name__} has none\n"
                "leave optimizer.weight_decay=0"
            )
        _check_values(kind, given)
        return options

    @property
    def kind(self) -> Any:
        """The class.

        Raises:
            UserError: there is none of that name, or it cannot train a model here.
        """
        known = classes()
        if self.cls in known:
            return known[self.cls]
        near = difflib.get_close_matches(self.cls.lower(), {name.lower() for name in known}, n=1)
        meant = [name for name in known if name.lower() in near]
        why = f"it {REFUSED[self.cls]}" if self.cls in REFUSED else "torch.optim has no such optimizer"
        hint = f"\ndid you mean: {', '.join(meant)}" if meant and self.cls not in REFUSED else ""
        raise UserError(f"optimizer.cls={self.cls}: {why}{hint}\nchoose one of: {', '.join(known)}")

    @property
    def arguments(self) -> dict[str, Any]:
        """Those that the configuration gives beside `KEYS`, as the class takes them.

        Raises:
            UserError: one is not of the type that the class asks for, or is missing.
        """
        checked = _options_of(self.kind).parse(self.model_extra or {}, "optimizer").model_dump(exclude_unset=True)
        return {name: tuple(value) if isinstance(value, list) else value for name, value in checked.items()}

    @property
    def averages(self) -> int:
        tried = _step(self.kind, {"lr": self.lr, **self.arguments})
        matrix = tried.param_groups[0]["params"][0]
        return sum(isinstance(kept, Tensor) and kept.shape == matrix.shape for kept in tried.state[matrix].values())

    @property
    def leaves_out_overflows(self) -> bool:
        """Only of SGD with momentum not: see `optimizer=sgd`."""
        return self.cls != "SGD" or not self.arguments.get("momentum")

    def description(self, model: nn.Module) -> str:  # noqa: ARG002
        return f"torch.optim.{self.cls}, peak learning rate {self.lr:g}"

    def groups(self, model: nn.Module) -> Groups:
        groups = super().groups(model)
        if "weight_decay" not in _signature(self.kind):
            groups = [{"params": group["params"]} for group in groups]
        return groups

    def make(self, groups: Groups, *, fused: bool, products: torch.dtype) -> Optimizer:  # noqa: ARG002
        kernel = {"fused": fused and self._has_fused_kernel(groups)} if "fused" in _signature(self.kind) else {}
        made: Optimizer = self.kind(groups, lr=self.lr, **self.arguments, **kernel)
        made.register_load_state_dict_pre_hook(_with_all_digits)
        return made

    def _has_fused_kernel(self, groups: Groups) -> bool:
        on_mps = any(parameter.device.type == "mps" for group in groups for parameter in group["params"])
        return not (on_mps and self.cls in NO_FUSED_KERNEL_ON_MPS)


def _with_all_digits(optimizer: Optimizer, state: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    """A saved state to load: torch gives its tensors the types of their parameters, and so would round single numbers.

    Those of NAdam and ASGD have a type of their own, in which torch puts plain numbers back.
    """
    exact = {
        number: {
            name: value.item() if isinstance(value, Tensor) and value.ndim == 0 and name != "step" else value
            for name, value in kept.items()
        }
        for number, kept in state["state"].items()
    }
    return {**state, "state": exact}


@cache
def classes() -> dict[str, type[Optimizer]]:
    """Those of torch.optim that can train a model here, by their names, sorted."""
    exported = sorted(vars(torch.optim).items(), key=lambda entry: entry[0].lower())
    return {
        name: value
        for name, value in exported
        if isinstance(value, type) and issubclass(value, Optimizer) and name not in REFUSED
    }


def _signature(kind: type[Optimizer]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(kind, eval_str=True).parameters


@cache
def _options_of(kind: Any) -> type[Options]:
    """The arguments that a configuration may give to `kind`, as typed options."""
    fields: dict[str, Any] = {
        name: (_as_configured(parameter.annotation), ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in _signature(kind).items()
        if name not in DECIDED_HERE and name not in KEYS
    }
    return create_model(kind.__name__, __base__=Options, **fields)


def _as_configured(annotation: Any) -> Any:
    """What YAML can give for an annotation: no tensors, and lists for tuples."""
    if annotation is inspect.Parameter.empty:
        return Any
    parts = [_as_configured(part) for part in get_args(annotation) if part is not Tensor]
    if get_origin(annotation) is tuple:
        return Annotated[list[_any_of(parts)], Field(min_length=len(parts), max_length=len(parts))]  # type: ignore[misc]
    return _any_of(parts) if get_origin(annotation) in (Union, UnionType) else annotation


def _any_of(types: list[Any]) -> Any:
    return reduce(or_, (NoneType if each is None else each for each in types))


def _check_names(kind: Any, given: Mapping[str, Any]) -> None:
    known = sorted(_options_of(kind).model_fields)
    for name in given:
        if name in DECIDED_HERE:
            raise UserError(f"optimizer.{name}: {DECIDED_HERE[name]}\nleave it out")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(
                f"optimizer.{shown_key(name)}: torch.optim.{kind.__name__} has no such argument{hint}\n"
                f"it has: {', '.join([*KEYS, *known])}"
            )


def _check_values(kind: type[Optimizer], given: Mapping[str, Any]) -> None:
    """Have the class check `given`; where it refuses, find the key it means."""
    cause = _refusal(kind, given)
    if cause is None:
        return
    for name, value in given.items():
        if (alone := _refusal(kind, {name: value})) is not None:
            shown = list(value) if isinstance(value, tuple) else str(value).lower()
            raise UserError(f"optimizer.{name}={shown}: torch.optim.{kind.__name__} does not take it:\n{alone}")
    raise UserError(f"optimizer: torch.optim.{kind.__name__} does not take these values together:\n{cause}")


def _refusal(kind: type[Optimizer], given: Mapping[str, Any]) -> str | None:
    """Why it makes no step with `given`, as one line; None: it does."""
    try:
        tried = _step(kind, given)
    except (ValueError, TypeError, RuntimeError, ArithmeticError) as error:
        return " ".join(str(error).split())[:LONGEST_CAUSE] or type(error).__name__
    moved = [parameter for group in tried.param_groups for parameter in group["params"]]
    return None if all(parameter.isfinite().all() for parameter in moved) else "its first step is not finite"


def _step(kind: Any, given: Mapping[str, Any]) -> Optimizer:
    """An optimizer that has made a step of a matrix and a vector."""
    parameters = [nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(3))]
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer: Optimizer = kind(parameters, **given)
    optimizer.step()
    return optimizer


OPTIMIZER = TorchOptimizer
