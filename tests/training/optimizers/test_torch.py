"""`optimizer=torch`: any class of torch.optim, its arguments checked, its steps those of the class, resumed exactly."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quick_compose import compose
from tiers import smallest
from torch import Tensor, nn

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.models.build import build_model
from lstm_lm.runs import checkpoint_file, metrics_file
from lstm_lm.training import checkpoint_fit
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.optimizers import build_optimizer, optimizer_options
from lstm_lm.training.optimizers.torch import DECIDED_HERE, REFUSED, TorchOptimizer, classes

Config = Callable[..., dict[str, Any]]

CLASSES = sorted(classes())
WITH_A_FUSED_KERNEL = {"Adagrad", "Adam", "AdamW", "SGD"}


def section(cls: str, **changes: Any) -> dict[str, Any]:
    return {"name": "torch", "cls": cls, "lr": 1e-2, "weight_decay": 0.0} | changes


def options(cls: str, **changes: Any) -> TorchOptimizer:
    made = optimizer_options(section(cls, **changes))
    assert isinstance(made, TorchOptimizer)
    return made


def linear(dtype: torch.dtype = torch.float32) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 3, dtype=dtype)


def build(model: nn.Module, cls: str, precision: str = "32-true", **changes: Any) -> torch.optim.Optimizer:
    return build_optimizer(model, options(cls, **changes), precision=precision)


def gradients(steps: int) -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(1)
    return [(torch.randn(3, 4), torch.randn(3)) for _ in range(steps)]


def steps(model: nn.Linear, optimizer: torch.optim.Optimizer, some: list[tuple[Tensor, Tensor]]) -> None:
    for weight, bias in some:
        model.weight.grad, model.bias.grad = weight.to(model.weight.dtype), bias.to(model.bias.dtype)
        optimizer.step()


def refusal(values: dict[str, Any]) -> str:
    """What is said of a section, in one to four lines."""
    with pytest.raises(UserError) as caught:
        optimizer_options(values)
    assert 1 <= len(str(caught.value).splitlines()) <= 4
    return str(caught.value)


# What trains


def test_every_optimizer_of_torch_is_taken_or_refused_by_name() -> None:
    exported = {name for name, value in vars(torch.optim).items() if isinstance(value, type) and name.isidentifier()}
    assert exported == {*CLASSES, *REFUSED}


@pytest.mark.parametrize("cls", CLASSES)
def test_its_steps_are_those_of_the_class(cls: str) -> None:
    """With the class's own arguments where none are given."""
    ours, theirs = linear(), linear()
    optimizer = build(ours, cls)
    reference = getattr(torch.optim, cls)(
        theirs.parameters(), lr=1e-2, **({"weight_decay": 0.0} if DECAYS[cls] else {})
    )
    steps(ours, optimizer, gradients(6))
    steps(theirs, reference, gradients(6))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=1e-6)


DECAYS = {cls: cls != "Rprop" for cls in CLASSES}


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if DECAYS[cls]])
def test_matrices_decay_and_biases_do_not(cls: str) -> None:
    model = linear()
    groups = build(model, cls, weight_decay=0.5).param_groups
    assert {id(p): group["weight_decay"] for group in groups for p in group["params"]} == {
        id(model.weight): 0.5,
        id(model.bias): 0.0,
    }


def test_an_argument_reaches_the_class_and_the_rest_is_its_own() -> None:
    optimizer = build(linear(), "NAdam", betas=[0.8, 0.99], momentum_decay=1)
    assert optimizer.defaults["betas"] == (0.8, 0.99)
    assert optimizer.defaults["momentum_decay"] == 1.0
    assert optimizer.defaults["eps"] == torch.optim.NAdam([torch.zeros(1)]).defaults["eps"]
    assert build(linear(), "Adafactor", eps=[None, 1e-2]).defaults["eps"] == (None, 1e-2)


@pytest.mark.parametrize("cls", CLASSES)
def test_the_fused_kernel_is_taken_where_there_is_one(cls: str) -> None:
    assert bool(build(linear(), cls).defaults.get("fused")) == (cls in WITH_A_FUSED_KERNEL)


def test_a_scaler_gets_a_fused_kernel_only_where_that_leaves_out_what_overflows() -> None:
    """As with optimizer=sgd."""
    assert build(linear(), "Adam", "16-mixed").defaults["fused"]
    assert build(linear(), "SGD", "16-mixed").defaults["fused"]
    assert not build(linear(), "SGD", "16-mixed", momentum=0.9).defaults["fused"]


@pytest.mark.parametrize(
    ("cls", "changes", "averages"),
    [
        *(("SGD", {}, 0), ("SGD", {"momentum": 0.9}, 1), ("Adam", {}, 2), ("Adam", {"amsgrad": True}, 3)),
        *(("NAdam", {}, 2), ("ASGD", {}, 1), ("Adafactor", {}, 0)),
    ],
)
def test_it_says_how_much_it_keeps_for_each_number(cls: str, changes: dict[str, Any], averages: int) -> None:
    """Adafactor keeps a row and a column for a matrix."""
    assert options(cls, **changes).averages == averages


def test_another_process_makes_the_same_of_it() -> None:
    sent = pickle.loads(pickle.dumps(options("NAdam", momentum_decay=0.01)))
    assert sent.arguments == {"momentum_decay": 0.01}
    assert sent.model_copy(update={"lr": 0.5}).arguments == {"momentum_decay": 0.01}, "as tune=lr copies it"


# What is refused


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (section("LBFGS"), "optimizer.cls=LBFGS"),
        (section("SparseAdam"), "sparse gradients"),
        (section("Muon"), "optimizer=muon"),
        (section("Optimizer"), "derived"),
        (section("nadam"), "NAdam"),
        (section(""), "choose one of: Adadelta, "),
        ({"name": "torch", "lr": 0.1, "weight_decay": 0.0}, "optimizer.cls: missing"),
        (section("Adam", lr=0), "optimizer.lr=0: must be greater than 0"),
        (section("Rprop", weight_decay=0.1), "optimizer.weight_decay=0.1"),
    ],
)
def test_what_cannot_train_is_refused_with_the_reason(values: dict[str, Any], told: str) -> None:
    assert told in refusal(values)


@pytest.mark.parametrize(
    ("values", "named", "told"),
    [
        (section("NAdam", momentum=0.9), "optimizer.momentum:", "betas, decoupled_weight_decay, eps, momentum_decay"),
        (section("NAdam", momentum_decy=0.9), "optimizer.momentum_decy:", "did you mean momentum_decay"),
        (section("NAdam", momentum_decay="x"), "optimizer.momentum_decay='x':", "number"),
        (section("NAdam", momentum_decay=True), "optimizer.momentum_decay=True:", "number"),
        (section("NAdam", momentum_decay=-1), "optimizer.momentum_decay=-1", "does not take it"),
        (section("NAdam", momentum_decay=float("nan")), "optimizer.momentum_decay=nan:", "finite"),
        (section("Adam", amsgrad=1), "optimizer.amsgrad=1:", "boolean"),
        (section("Adam", betas=[0.9]), "optimizer.betas=[0.9]:", "at least 2"),
        (section("Adam", betas=[0.9, 0.9, 0.9]), "optimizer.betas=", "at most 2"),
        (section("Adam", betas=[1.5, 0.9]), "optimizer.betas=[1.5, 0.9]:", "does not take it"),
        (section("SGD", nesterov=True), "optimizer.nesterov=true:", "momentum"),
        (section("Adafactor", eps=[1e-3, None]), "optimizer.eps=", "does not take it"),
        (section("RMSprop", alpha=5.0), "optimizer.alpha=5.0:", "not finite"),
    ],
)
def test_a_wrong_argument_is_named_before_any_text_is_read(values: dict[str, Any], named: str, told: str) -> None:
    message = refusal(values)
    assert message.startswith(named)
    assert told in message


@pytest.mark.parametrize("name", sorted(DECIDED_HERE))
def test_what_the_project_decides_is_no_argument(name: str) -> None:
    assert f"optimizer.{name}: {DECIDED_HERE[name]}" in refusal(section("Adam", **{name: True}))


@pytest.mark.parametrize(
    "cls", ["os.system", "torch.optim.Adam", "evil.Adam", "lr_scheduler", "__class__", "__builtins__", "_functional"]
)
def test_nothing_is_reached_but_what_torch_exports(cls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil.py").write_text("class Adam: pass")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "choose one of: Adadelta, " in refusal(section(cls))
    assert "evil" not in sys.modules


VALUES = st.one_of(
    *(st.none(), st.booleans(), st.integers(-3, 3), st.floats(0, 1), st.floats(), st.just(10**400)),
    *(st.lists(st.floats(0, 2), max_size=3), st.text(max_size=3), st.just({"_target_": "os.system"})),
)


@pytest.mark.filterwarnings("ignore:Casting complex values to real")  # ASGD with a negative decay
@given(cls=st.sampled_from(CLASSES), data=st.data())
def test_any_value_of_any_argument_is_taken_or_refused_by_name(cls: str, data: st.DataObject) -> None:
    names = sorted(set(torch_arguments(cls)) - DECIDED_HERE.keys())
    name = data.draw(st.sampled_from([*names, "nonsense"]))
    values, message = section(cls) | {name: data.draw(VALUES)}, None
    try:
        optimizer_options(values)
    except UserError as error:
        message = str(error)
    assert message is None or (f"optimizer.{name}" in message and len(message.splitlines()) <= 4)


def torch_arguments(cls: str) -> dict[str, Any]:
    return dict(getattr(torch.optim, cls)([torch.zeros(1)]).defaults)


# Parity and resuming


def test_adamw_of_torch_is_optimizer_adamw(small_config: Config, tmp_path: Path) -> None:
    """Weights and figures to the bit."""
    ours = ("optimizer=adamw", "optimizer.lr=0.02", "trainer.max_steps=5", "scheduler=cosine")
    torchs = ("optimizer=torch", "optimizer.cls=AdamW", "+optimizer.betas=[0.9,0.95]", "optimizer.weight_decay=0.1")
    lstm_lm.train(small_config(*ours), tmp_path / "ours")
    lstm_lm.train(small_config(*ours, *torchs), tmp_path / "torchs")
    one, two = (last(tmp_path / name) for name in ("ours", "torchs"))
    assert all(torch.equal(one["state_dict"][name], tensor) for name, tensor in two["state_dict"].items())
    losses = [[row["train/loss"] for row in rows_of(tmp_path / name)] for name in ("ours", "torchs")]
    assert losses[0] == losses[1]


def last(run: Path) -> dict[str, Any]:
    return checkpoint_file.load(run / "checkpoints" / "last.ckpt")


def rows_of(run: Path) -> list[dict[str, float]]:
    return metrics_file.read(run / "metrics.csv")


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_what_is_saved_fits_and_takes_the_very_same_steps(cls: str, dtype: torch.dtype) -> None:
    """Single numbers, as NAdam's product of momenta, keep digits that their parameter has not."""
    whole, part, rest = (linear(dtype) for _ in range(3))
    steps(whole, build(whole, cls), gradients(9))
    before, after = build(part, cls), build(rest, cls)
    steps(part, before, gradients(9)[:4])
    checkpoint_fit._check_optimizer(before.state_dict(), after, exact=True)
    rest.load_state_dict(part.state_dict())
    after.load_state_dict(before.state_dict())
    steps(rest, after, gradients(9)[4:])
    assert torch.equal(rest.weight, whole.weight)
    assert torch.equal(rest.bias, whole.bias)


@pytest.mark.parametrize("cls", smallest(CLASSES, "NAdam", "Adafactor"))
def test_a_resumed_run_ends_with_the_weights_of_the_whole_run(cls: str, small_config: Config, tmp_path: Path) -> None:
    chosen = ("optimizer=torch", f"optimizer.cls={cls}", "scheduler=constant", "model.dropout=0.2")
    lstm_lm.train(small_config(*chosen, "trainer.max_steps=7"), tmp_path / "whole")
    lstm_lm.train(small_config(*chosen, "trainer.max_steps=3"), tmp_path / "parts")
    lstm_lm.train(small_config(*chosen, "trainer.max_steps=7", "resume=auto"), tmp_path / "parts")
    one, two = (last(tmp_path / name)["state_dict"] for name in ("whole", "parts"))
    assert all(torch.equal(one[name], tensor) for name, tensor in two.items())


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    "forge",
    [
        lambda state: state["state"][0].update(nonsense=torch.zeros(3, 4)),
        lambda state: state["state"][0].popitem(),
        lambda state: state["state"][0].update(step=torch.tensor(-1.0)),
        lambda state: state["state"][0].update(step=torch.tensor(float("inf"))),
        lambda state: state["param_groups"][0].update(lr="0.1"),
        lambda state: state["param_groups"][0].update(maximize=True),
        lambda state: state["param_groups"][0].update(foreach=True),
        lambda state: state["param_groups"][0].pop("maximize"),
    ],
    ids=["more", "less", "negative step", "endless step", "text for a rate", "uphill", "kernel", "an option less"],
)
def test_a_forged_state_is_refused(cls: str, forge: Callable[[dict[str, Any]], object]) -> None:
    model = linear()
    optimizer = build(model, cls, **({"momentum": 0.9} if cls == "SGD" else {}))
    steps(model, optimizer, gradients(2))
    state = optimizer.state_dict()
    forge(state)
    with pytest.raises(checkpoint_fit._Unlike):
        checkpoint_fit._check_optimizer(
            state, build(linear(), cls, **({"momentum": 0.9} if cls == "SGD" else {})), exact=True
        )


@pytest.mark.parametrize("changes", [{"lr": 0.5}, {"weight_decay": 0.3}, {"momentum": 0.0}], ids=str)
def test_options_may_be_changed_by_force(changes: dict[str, Any]) -> None:
    model = linear()
    optimizer = build(model, "RMSprop", momentum=0.5)
    steps(model, optimizer, gradients(2))
    checkpoint_fit._check_optimizer(
        optimizer.state_dict(), build(linear(), "RMSprop", **{"momentum": 0.5} | changes), exact=True
    )


@pytest.mark.parametrize("name", ["torch", "rmsprop"])
def test_options_that_need_what_was_never_kept_are_refused(name: str) -> None:
    """Else the first step would fail: RMSprop has kept no momentum."""
    values = compose("optimizer=rmsprop")["optimizer"] if name == "rmsprop" else section("RMSprop")
    model = linear()
    optimizer = build_optimizer(model, optimizer_options(values), precision="32-true")
    steps(model, optimizer, gradients(2))
    more = build_optimizer(linear(), optimizer_options(values | {"momentum": 0.9}), precision="32-true")
    with pytest.raises(checkpoint_fit._Unlike, match="momentum"):
        checkpoint_fit._check_optimizer(optimizer.state_dict(), more, exact=True)


def test_another_class_does_not_go_on_with_its_state(small_config: Config, tmp_path: Path) -> None:
    """Not even by force."""
    chosen = ("optimizer=torch", "scheduler=constant")
    lstm_lm.train(small_config(*chosen, "trainer.max_steps=2"), tmp_path)
    other = (*chosen, "optimizer.cls=RAdam", "trainer.max_steps=4")
    for how, told in (("auto", r"optimizer\.cls: 'NAdam' then, 'RAdam' now"), ("force", "cannot resume from it")):
        with pytest.raises(UserError, match=told) as caught:
            lstm_lm.train(small_config(*other, f"resume={how}"), tmp_path)
        assert len(str(caught.value).splitlines()) <= 4


def test_the_plan_says_which_class() -> None:
    config = TrainConfig.parse(compose("optimizer=torch", "optimizer.cls=RAdam"))
    model = build_model(config.top.model, 11)
    assert "torch.optim.RAdam" in config.optimizer.description(model)
