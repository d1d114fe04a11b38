"""Optimizers: what decays, what is fused, what is refused."""

from typing import Any

import pytest
import torch
from quick_compose import compose
from torch import nn

from lstm_lm.errors import UserError
from lstm_lm.models.build import build_model
from lstm_lm.registry import names
from lstm_lm.training import optimizers
from lstm_lm.training.optimizers import beside_parameters, build_optimizer, optimizer_options

OPTIMIZERS = names("lstm_lm.training.optimizers")


def section(name: str, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = compose(f"optimizer={name}")["optimizer"]
    return values | changes


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_biases_never_decay(name: str) -> None:
    model = nn.Linear(3, 2)
    optimizer = build_optimizer(model, optimizer_options(section(name, weight_decay=0.5)), precision="32-true")
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decay == {id(model.weight): 0.5, id(model.bias): 0.0}


BACKBONES = [(name, ()) for name in names("lstm_lm.models.backbones")]


@pytest.mark.parametrize(("name", "changes"), [*BACKBONES, ("lstm", ("model.layer_norm=true",))])
def test_no_bias_gain_or_norm_of_any_backbone_decays(name: str, changes: tuple[str, ...]) -> None:
    """Embeddings do: they are matrices."""
    model = build_model(compose(f"model={name}", *changes)["model"], 50)
    optimizer = build_optimizer(model, optimizer_options(section("adamw", weight_decay=0.5)), precision="32-true")
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    for key, parameter in model.named_parameters():
        last = key.split(".")[-1]
        bare = "norm" in key or last.startswith(("bias", "gain", "before"))
        assert decay[id(parameter)] == (0.0 if bare else 0.5), key


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_goes_downhill(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    x = torch.randn(8, 3)
    optimizer = build_optimizer(model, optimizer_options(section(name, lr=1e-2)), precision="32-true")
    before = model(x).square().mean()
    before.backward()
    optimizer.step()
    assert model(x).square().mean().item() < before.item()


def is_fused(model: nn.Module, precision: str, options: dict[str, Any] | None = None) -> bool:
    optimizer = build_optimizer(model, optimizer_options(options or section("adamw")), precision=precision)
    return bool(optimizer.defaults["fused"])


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_the_fused_kernel_is_taken_in_every_precision(precision: str) -> None:
    assert is_fused(nn.Linear(3, 2), precision)


def test_a_scaler_gets_a_fused_kernel_only_where_that_leaves_out_what_overflows() -> None:
    """Else the scaler leaves the step out itself, and waits for the number that decides it."""
    momentum = section("sgd", momentum=0.9)
    assert is_fused(nn.Linear(3, 2), "16-mixed", section("sgd", momentum=0.0))
    assert not is_fused(nn.Linear(3, 2), "16-mixed", momentum)
    assert is_fused(nn.Linear(3, 2), "32-true", momentum)
    assert [
        optimizers._fused_heeds_the_scaler({torch.device(name) for name in devices})
        for devices in (["cuda:0"], ["mps"], ["cuda:0", "cuda:1"])
    ] == [True, False, False]


@pytest.mark.parametrize("name", ["adamw", "sgd"])
@pytest.mark.parametrize(("saved", "own"), [(False, True), (True, False)])
def test_a_checkpoint_does_not_say_which_kernel_runs(name: str, saved: bool, own: bool) -> None:
    """It may be of an earlier version, or of several devices; a scaler goes on with what is here."""

    def made(fused: bool) -> tuple[nn.Linear, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(optimizers, "_fused_heeds_the_scaler", lambda *_: fused)
            return model, build_optimizer(model, optimizer_options(section(name)), precision="16-mixed")

    def step(model: nn.Linear, optimizer: torch.optim.Optimizer) -> None:
        scaler = torch.amp.GradScaler("cpu")
        scaler.scale(model(torch.ones(1, 3)).sum()).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimizer)
        optimizer.zero_grad()

    before, after, whole = made(saved), made(own), made(saved)
    step(*before)
    after[0].load_state_dict(before[0].state_dict())
    after[1].load_state_dict(before[1].state_dict())
    assert all(group["fused"] is own for group in after[1].param_groups)
    step(*after)
    for _ in range(2):
        step(*whole)
    torch.testing.assert_close(after[0].state_dict(), whole[0].state_dict(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (section("adamw", lr=-1), "optimizer.lr=-1: must be greater than 0"),
        (section("adamw", lr=float("nan")), "optimizer.lr=nan: must be a finite number"),
        (section("adamw", betas=[0.9]), "optimizer.betas"),
        (section("sgd", momentum=1.0), "optimizer.momentum=1.0: must be less than 1"),
        (section("sgd", nesterov=True), "needs optimizer.momentum above 0"),
        ({"name": "adam"}, "choose one of: adamw, muon, rmsprop, sgd"),
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
