"""`optimizer=muon`: the orthogonal step against a decomposition, torch's own Muon and a hand, and who gets it."""

import math
from typing import Any

import pytest
import torch
from quick_compose import compose
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from lstm_lm.errors import UserError
from lstm_lm.models.build import build_model
from lstm_lm.registry import names
from lstm_lm.training.muon import LONGEST, QUINTIC, Muon, inverse_square_root
from lstm_lm.training.optimizers import build_optimizer, optimizer_options
from lstm_lm.training.optimizers.muon import inner_matrices

BAND = (0.68, 1.21)
"""Where five iterations leave singular values that are at least a hundredth of the matrix's norm."""


def section(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = compose("optimizer=muon")["optimizer"]
    return values | changes


def muon(model: nn.Module, **changes: Any) -> torch.optim.Optimizer:
    return build_optimizer(model, optimizer_options(section(**changes)), precision="32-true")


def linear(rows: int, columns: int, dtype: torch.dtype = torch.float32) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(columns, rows, bias=False, dtype=dtype)


def with_singular_values(values: Tensor, rows: int) -> Tensor:
    """float64 `[rows, N]`."""
    torch.manual_seed(1)
    left = torch.linalg.qr(torch.randn(rows, len(values), dtype=torch.float64)).Q
    right = torch.linalg.qr(torch.randn(len(values), len(values), dtype=torch.float64)).Q
    return left * values @ right.mT


def orthogonal(x: Tensor, iterations: int) -> Tensor:
    x = x / x.norm()
    return x @ inverse_square_root((x.mT @ x)[None], iterations)[0]


@pytest.mark.parametrize("iterations", [1, 3, 5])
@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-10), (torch.float32, 1e-3)])
def test_each_singular_value_becomes_what_the_polynomials_make_of_it(
    iterations: int, dtype: torch.dtype, within: float
) -> None:
    """And the singular vectors stay: the iteration on the small matrix is the one on the large matrix."""
    values = torch.logspace(0, -3, 24, dtype=torch.float64)
    x = with_singular_values(values, 96)
    expected = values / values.norm()
    a, b, c = QUINTIC
    for _ in range(iterations):
        expected = a * expected + b * expected**3 + c * expected**5
    left, _, right = torch.linalg.svd(x, full_matrices=False)
    made = orthogonal(x.to(dtype), iterations)
    torch.testing.assert_close(made.double(), left * expected @ right, rtol=0, atol=within)


def test_five_iterations_leave_every_singular_value_near_one() -> None:
    values = torch.logspace(0, -1.5, 40, dtype=torch.float64)
    made = torch.linalg.svdvals(orthogonal(with_singular_values(values, 160).float(), 5))
    assert BAND[0] < made.min() < made.max() < BAND[1]


@pytest.mark.parametrize(("damping", "rows"), [(0.25, 160), (3.0, 160), (3.0, 20)])
def test_damped_a_direction_keeps_some_of_its_own_strength(damping: float, rows: int) -> None:
    """d: from nothing to (1 + d)^(1/2), and 1 where all are alike; as far as five iterations tell."""
    small = min(rows, 40)
    model = linear(rows, 40)
    before = model.weight.detach().clone()
    optimizer = muon(model, lr=1.0, weight_decay=0.0, momentum=0.0, iterations=5, damping=damping)
    values = torch.logspace(0, -2, small, dtype=torch.float64)
    gradient = with_singular_values(values, max(rows, 40)).float()
    model.weight.grad = gradient if rows > 40 else gradient.mT.contiguous()
    optimizer.step()
    made = torch.linalg.svdvals((model.weight.detach() - before) / (0.2 * max(rows, 40) ** 0.5)).double()
    squares = values.square() / values.square().sum()
    expected = ((1 + damping) * squares / (squares + damping / small)).sqrt()
    assert (made / expected).min() > BAND[0]
    assert (made / expected).max() < BAND[1]
    assert made[0] > 3 * made[-1]


@pytest.mark.parametrize(("rows", "columns"), [(96, 24), (24, 96), (32, 32)])
def test_ten_steps_are_those_of_torchs_muon(rows: int, columns: int) -> None:
    """But for its products in bfloat16, with 8 bits: about 1 in 100."""
    ours, theirs = linear(rows, columns), linear(rows, columns)
    start = ours.weight.detach().clone()
    optimizer = muon(ours, lr=0.02, weight_decay=0.3, iterations=5, refresh=1)
    reference = torch.optim.Muon(
        theirs.parameters(), lr=0.02, weight_decay=0.3, momentum=0.9, adjust_lr_fn="match_rms_adamw"
    )
    for _ in range(10):
        gradient = torch.randn(rows, columns) * torch.logspace(0, -2, columns)
        ours.weight.grad, theirs.weight.grad = gradient.clone(), gradient.clone()
        optimizer.step()
        reference.step()
    apart = (ours.weight - theirs.weight).norm() / (ours.weight - start).norm()
    assert apart.item() < 0.02


def test_two_steps_by_hand() -> None:
    """A column's Gram matrix is the number 1, where one iteration gives 3.4445 - 4.7750 + 2.0315 = 0.701."""
    model = linear(2, 1)
    weight = model.weight.detach().clone()
    optimizer = muon(model, lr=0.1, weight_decay=0.5, momentum=0.9, iterations=1, refresh=1)
    average = torch.zeros(2, 1)
    for gradient in (torch.tensor([[3.0], [4.0]]), torch.tensor([[-1.0], [0.0]])):
        model.weight.grad = gradient.clone()
        optimizer.step()
        average = 0.9 * average + 0.1 * gradient
        ahead = 0.1 * gradient + 0.9 * average
        weight = weight * (1 - 0.1 * 0.5) - 0.1 * 0.2 * 2**0.5 * 0.701 * ahead / ahead.norm()
        torch.testing.assert_close(model.weight.detach(), weight)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_number_types_take_the_same_step(dtype: torch.dtype) -> None:
    """Within what theirs can hold; the iteration is in float32 at least."""
    start = linear(24, 8).weight.detach().to(torch.bfloat16)
    gradient = torch.randn(24, 8).to(torch.bfloat16)
    made = []
    for kind in (torch.float32, dtype):
        model = linear(24, 8, kind)
        model.weight.data = start.to(kind)
        model.weight.grad = gradient.to(kind)
        optimizer = muon(model, lr=0.1)
        optimizer.step()
        assert optimizer.state[model.weight]["root"].dtype == torch.promote_types(kind, torch.float32)
        made.append(model.weight.detach().double())
    torch.testing.assert_close(
        *made, rtol=0.01 if dtype == torch.bfloat16 else 1e-5, atol=2e-3 if dtype == torch.bfloat16 else 1e-6
    )


@pytest.mark.parametrize("damping", [0.0, 0.01, 3.0])
@pytest.mark.parametrize("iterations", [1, 3, 4, 6])
@pytest.mark.parametrize("smallest", [0.1, 0.01])
def test_it_is_multiplied_in_bfloat16_where_the_layers_are(smallest: float, iterations: int, damping: float) -> None:
    """Within its 8 bits: several in 100; roots of more than three iterations are not, for they would grow too long."""
    model, plain = linear(256, 64), linear(256, 64)
    before = model.weight.detach().clone()
    options = optimizer_options(section(weight_decay=0.0, iterations=iterations, damping=damping))
    gradient = with_singular_values(torch.logspace(0, math.log10(smallest), 64, dtype=torch.float64), 256).float()
    for one, products in ((model, torch.bfloat16), (plain, torch.float32)):
        one.weight.grad = gradient.clone()
        optimizer = options.make(options.groups(one), fused=False, products=products)
        optimizer.step()
        assert optimizer.state[one.weight]["root"].dtype == (products if iterations <= 3 else torch.float32)
    assert not torch.equal(model.weight, plain.weight)
    apart = (model.weight - plain.weight).norm() / (plain.weight - before).norm()
    assert apart.item() < 0.03


def test_few_singular_values_bear_bfloat16_less() -> None:
    """Where a direction is all that there is but noise, most of the step's error is the product's with the root."""
    gradient = with_singular_values(torch.tensor([1.0, *[1e-3] * 63], dtype=torch.float64), 256).float()
    options = optimizer_options(section(weight_decay=0.0))
    steps = []
    for products in (torch.bfloat16, torch.float32):
        model = linear(256, 64)
        before = model.weight.detach().clone()
        model.weight.grad = gradient.clone()
        options.make(options.groups(model), fused=False, products=products).step()
        steps.append(model.weight.detach() - before)
    assert ((steps[0] - steps[1]).norm() / steps[1].norm()).item() < 0.2


def test_a_root_serves_as_many_steps_as_it_should_and_matrices_take_turns() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8, bias=False), nn.Linear(8, 8, bias=False))
    optimizer = muon(model, refresh=3)
    fresh: list[list[bool]] = []
    before: list[Tensor | None] = [None, None]
    for _ in range(7):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()
        roots = [optimizer.state[parameter]["root"] for parameter in model.parameters()]
        fresh.append([old is None or not torch.equal(old, new) for old, new in zip(before, roots, strict=True)])
        before = [root.clone() for root in roots]
    assert [first for first, _ in fresh] == [True, False, False, True, False, False, True]
    assert [second for _, second in fresh] == [True, False, True, False, False, True, False]


def test_a_momentum_that_turns_where_an_old_root_is_large_makes_no_long_step() -> None:
    """What was all but absent when the root was made is multiplied by some 40."""
    model = linear(256, 64)
    optimizer = muon(model, lr=1.0, weight_decay=0.0, momentum=0.0, refresh=100)
    values = torch.logspace(0, -3, 64, dtype=torch.float64)
    for gradient in (with_singular_values(values, 256), with_singular_values(values.flip(0), 256)):
        before = model.weight.detach().clone()
        model.weight.grad = gradient.float()
        optimizer.step()
    moved = torch.linalg.svdvals((model.weight.detach() - before) / (0.2 * 256**0.5))
    assert LONGEST < moved.max() < 1.15 * LONGEST, "one power iteration finds a little less than the largest"


@pytest.mark.parametrize("products", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_saved_and_loaded_takes_the_very_same_steps(dtype: torch.dtype, products: torch.dtype) -> None:
    """Though roots are of the type that layers are computed in, whatever the parameters are."""
    torch.manual_seed(0)
    gradients = [torch.randn(24, 8, dtype=dtype) for _ in range(9)]

    def steps(model: nn.Linear, optimizer: torch.optim.Optimizer, some: list[Tensor]) -> None:
        for gradient in some:
            model.weight.grad = gradient.clone()
            optimizer.step()

    def made(model: nn.Linear) -> torch.optim.Optimizer:
        options = optimizer_options(section())
        return options.make(options.groups(model), fused=False, products=products)

    whole, part, rest = (linear(24, 8, dtype) for _ in range(3))
    steps(whole, made(whole), gradients)
    before = made(part)
    steps(part, before, gradients[:3])
    after = made(rest)
    rest.load_state_dict(part.state_dict())
    after.load_state_dict(before.state_dict())
    steps(rest, after, gradients[3:])
    assert torch.equal(rest.weight, whole.weight)


@pytest.mark.parametrize("iterations", [3, 5])
def test_a_root_of_bfloat16_serves_a_run_that_goes_on_in_float32(iterations: int) -> None:
    """As after a move to another machine."""
    model = linear(96, 24)
    options = optimizer_options(section(refresh=100, iterations=iterations))
    saved = options.make(options.groups(model), fused=False, products=torch.bfloat16)
    model.weight.grad = torch.randn(96, 24)
    saved.step()
    moved = options.make(options.groups(model), fused=False, products=torch.float32)
    moved.load_state_dict(saved.state_dict())
    before = model.weight.detach().clone()
    moved.step()
    length = (model.weight - before).norm() / (options.lr * 0.2 * 96**0.5)
    assert 0.6 * 24**0.5 < length.item() < 1.3 * 24**0.5, "about that of an orthogonal step"


def test_the_plan_tells_what_makes_a_step_another_one() -> None:
    model = linear(24, 8)
    told = [
        optimizer_options(section(**changes)).description(model)
        for changes in ({}, {"damping": 3.0}, {"blocks": 4}, {"damping": 3.0, "blocks": 4})
    ]
    assert len(set(told)) == 4


def test_a_root_of_other_blocks_is_made_again() -> None:
    """As with resume=force optimizer.blocks=4."""
    model = linear(32, 8)
    saved = muon(model)
    model.weight.grad = torch.randn(32, 8)
    saved.step()
    changed = muon(model, blocks=4, refresh=100)
    changed.load_state_dict(saved.state_dict())
    changed.param_groups[0]["blocks"] = 4
    changed.step()
    assert changed.state[model.weight]["root"].shape == (4, 8, 8)


def test_all_else_takes_adamws_steps_bit_for_bit() -> None:
    def trained(name: str) -> dict[str, Tensor]:
        torch.manual_seed(0)
        model = build_model(compose("model.hidden_size=8", "model.embedding_size=4")["model"], 11)
        settings = {"lr": 0.01, "betas": [0.9, 0.95], "weight_decay": 0.1}
        values = compose(f"optimizer={name}")["optimizer"] | settings
        optimizer = build_optimizer(model, optimizer_options(values), precision="32-true")
        for _ in range(3):
            for parameter in model.parameters():
                parameter.grad = torch.ones_like(parameter)
            optimizer.step()
        return model.state_dict()

    ours, adamw = trained("muon"), trained("adamw")
    differ = {name for name in ours if not torch.equal(ours[name], adamw[name])}
    assert differ == {f"stack.weight_{what}_l{layer}" for what in ("ih", "hh") for layer in (0, 1)}


def test_who_counts_optimizer_steps_hears_of_each_once() -> None:
    """Also where an AdamW was there before, whose steps are counted too."""
    counted: list[object] = []
    handle = register_optimizer_step_post_hook(lambda *_: counted.append(None))
    try:
        for _ in range(2):
            model = nn.Linear(4, 4)
            for optimizer in (torch.optim.AdamW(model.parameters()), muon(model)):
                model.weight.grad, model.bias.grad = torch.ones(4, 4), torch.ones(4)
                optimizer.step()
    finally:
        handle.remove()
    assert len(counted) == 4


def test_a_matrix_without_a_gradient_stays_as_it_is() -> None:
    """So a step that is left out (on_nonfinite=skip) leaves everything as it was."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    optimizer = muon(model)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer.step()
    assert not optimizer.state
    model[0].weight.grad = torch.zeros(4, 4)
    optimizer.step()
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert all(torch.equal(old, new) for old, new in zip(before[1:], list(model.parameters())[1:], strict=True))


@pytest.mark.parametrize("name", names("lstm_lm.models.backbones"))
def test_it_takes_the_matrices_between_embedding_and_output_of_every_backbone(name: str) -> None:
    model = build_model(compose(f"model={name}")["model"], 50)
    taken = {id(matrix) for matrix in inner_matrices(model)}
    assert taken
    for key, parameter in model.named_parameters():
        matrix = parameter.ndim == 2 and 50 not in parameter.shape and 51 not in parameter.shape
        assert (id(parameter) in taken) == matrix, key
    moved = [id(each) for group in muon(model).param_groups for each in group["params"]]
    assert sorted(moved) == sorted(id(parameter) for parameter in model.parameters())


def test_gates_may_each_be_made_orthogonal() -> None:
    """As four matrices would be."""
    whole, gates = linear(32, 8), nn.ModuleList(nn.Linear(8, 8, bias=False) for _ in range(4))
    for gate, rows in zip(gates, whole.weight.detach().chunk(4), strict=True):
        gate.weight.data = rows.clone()
    gradient = torch.randn(32, 8)
    whole.weight.grad = gradient.clone()
    for gate, rows in zip(gates, gradient.chunk(4), strict=True):
        gate.weight.grad = rows.clone()
    muon(whole, blocks=4).step()
    muon(gates, refresh=1).step()
    torch.testing.assert_close(whole.weight.detach(), torch.cat([gate.weight.detach() for gate in gates]))


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        (nn.BatchNorm1d(3), {}, "no matrices"),
        (nn.Linear(8, 6), {"blocks": 4}, "optimizer.blocks=4: does not divide a matrix of 6 rows"),
        (nn.Linear(8, 6), {"momentum": 1.0}, "optimizer.momentum=1.0"),
        (nn.Linear(8, 6), {"refresh": 0}, "optimizer.refresh=0"),
    ],
)
def test_what_cannot_be_is_refused(model: nn.Module, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        muon(model, **changes)


def test_a_forged_number_of_iterations_is_no_optimizers() -> None:
    """A checkpoint's options are tried before it is resumed: these would never end."""
    with pytest.raises(ValueError, match="iterations"):
        Muon([], lr=0.1, betas=(0.9, 0.9), eps=1e-8, momentum=0.9, iterations=2**50, refresh=1, blocks=1)


@pytest.mark.parametrize(("rate", "warned"), [(3e-4, True), (1e-3, True), (3e-3, True), (1.5e-2, False), (1.0, True)])
def test_a_rate_meant_for_another_optimizer_is_warned_of(rate: float, warned: bool) -> None:
    warning = optimizer_options(section(lr=rate)).warning
    assert (warning is not None) == warned
    assert warning is None or "0.005 to 0.1" in warning
