"""Optimizers: what decays, what is fused, what is refused."""

from typing import Any

import pytest
import torch
from torch import nn

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.models.build import build_model
from lstm_lm.registry import names
from lstm_lm.training.optimizers import OPTIMIZERS, beside_parameters, build_optimizer, optimizer_options


def section(name: str, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = lstm_lm.compose(f"optimizer={name}")["optimizer"]
    return values | changes


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_biases_never_decay(name: str) -> None:
    model = nn.Linear(3, 2)
    optimizer = build_optimizer(model, optimizer_options(section(name, weight_decay=0.5)), precision="32-true")
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decay == {id(model.weight): 0.5, id(model.bias): 0.0}


BACKBONES = [(name, ()) for name in names("lstm_lm.models.backbones")]


@pytest.mark.parametrize(("name", "changes"), [*BACKBONES, ("lstm", ("model.layer_norm=true",))])
def test_no_bias_gain_or_norm_of_any_backbone_decays(name: str, changes: tuple[str, ...]) -> None:
    """Embeddings do: they are matrices."""
    model = build_model(lstm_lm.compose(f"model={name}", *changes)["model"], 50)
    optimizer = build_optimizer(model, optimizer_options(section("adamw", weight_decay=0.5)), precision="32-true")
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    for key, parameter in model.named_parameters():
        last = key.split(".")[-1]
        bare = "norm" in key or last.startswith(("bias", "gain", "before"))
        assert decay[id(parameter)] == (0.0 if bare else 0.5), key


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_a_step_goes_downhill(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    x = torch.randn(8, 3)
    optimizer = build_optimizer(model, optimizer_options(section(name, lr=1e-2)), precision="32-true")
    before = model(x).square().mean()
    before.backward()
    optimizer.step()
    assert model(x).square().mean().item() < before.item()


@pytest.mark.parametrize(("precision", "fused"), [("32-true", True), ("bf16-mixed", True), ("16-mixed", False)])
def test_the_fused_kernel_is_taken_where_clipping_stays_correct(precision: str, fused: bool) -> None:
    optimizer = build_optimizer(nn.Linear(3, 2), optimizer_options(section("adamw")), precision=precision)
    assert bool(optimizer.defaults["fused"]) is fused


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (section("adamw", lr=-1), "optimizer.lr=-1: must be greater than 0"),
        (section("adamw", lr=float("nan")), "optimizer.lr=nan: must be a finite number"),
        (section("adamw", betas=[0.9]), "optimizer.betas"),
        (section("sgd", momentum=1.0), "optimizer.momentum=1.0: must be less than 1"),
        (section("sgd", nesterov=True), "needs optimizer.momentum above 0"),
        ({"name": "adam"}, "choose one of: adamw, sgd, rmsprop"),
    ],
)
def test_wrong_options_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        optimizer_options(values)
    assert message in str(caught.value)


def test_what_an_optimizer_keeps_follows_each_parameter_to_its_device() -> None:
    """Layers on several devices, and a checkpoint that was restored onto one; `meta` stands in for a GPU."""
    here, there = nn.Parameter(torch.ones(2)), nn.Parameter(torch.empty(2, device="meta"))
    optimizer = torch.optim.AdamW([here, there])
    for parameter in (here, there):
        optimizer.state[parameter] = {"step": torch.tensor(3.0), "exp_avg": torch.ones(2)}
    beside_parameters(optimizer)
    assert [optimizer.state[parameter]["exp_avg"].device.type for parameter in (here, there)] == ["cpu", "meta"]
    assert [optimizer.state[parameter]["step"].device.type for parameter in (here, there)] == ["cpu", "cpu"]
