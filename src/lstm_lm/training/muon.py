"""Muon: orthogonal steps for matrices, AdamW's for other parameters.

Muon (Jordan et al., 2024, kellerjordan.github.io/posts/muon): the averaged gradient M = U S V^T of a matrix is replaced
by about U V^T, so that a few directions do not take the whole step. Newton and Schulz's iteration needs no
decomposition: X <- X p(X^T X), some times, from X = M / |M| on.

Here it runs on the Gram matrix G = X^T X of the smaller side (Dao AI Lab, "Gram Newton-Schulz", 2026): root <- root
p(G), G <- p(G) G p(G); and X root is the step. All of it is multiplied in bfloat16 where the layers are, but for roots
of more than three iterations, whose rounding errors would grow. A root serves for `refresh` steps, as Shampoo's do
(Gupta et al., 2018): the step is then orthogonal only roughly. With `damping` d the root is of (G + d / N) / (1 + d): a
direction keeps some of its own strength, from nothing to (1 + d)^(1/2), and one of the average strength, N^(-1/2), has
1 as before. What else was tried: docs/decisions/0033-muon.md.
"""

from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.adamw import adamw

QUINTIC = (3.4445, -4.7750, 2.0315)
"""p(G) = 3.4445 - 4.7750 G + 2.0315 G^2: Jordan's. Five bring singular values to between about 0.7 and 1.2; fewer leave
small ones small."""
MOST_ITERATIONS = 6
"""The most that float32 bears: each multiplies rounding errors, of directions that there are not, by up to 3.4445^2."""
MOST_IN_BFLOAT16 = 3
"""The most that bfloat16's 8 bits bear: four make steps a tenth longer, six are without bounds."""
RMS = 0.2
"""Root mean square of an orthogonal step at lr=1, about AdamW's (Liu et al., 2025, arXiv 2502.16982)."""
LONGEST = 2.0
"""Times (1 + damping)^(1/2), the largest singular value of a step, about: an old root lengthens what was not there
when it was made."""
SMALLEST_NORM = 1e-7


class Muon(Optimizer):
    """Moves groups with orthogonal=True, of matrices, by Muon's rule, and the others by AdamW's."""

    _step_supports_amp_scaling = True
    """torch's gradient scaler always calls `step`, and hands `found_inf` over; gradients are to be unscaled by then."""

    def __init__(
        self,
        params: list[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        momentum: float,
        iterations: int,
        refresh: int,
        blocks: int,
        damping: float = 0.0,
        weight_decay: float = 0.0,
        orthogonal: bool = False,
        fused: bool = False,
        products: torch.dtype = torch.float32,
    ) -> None:
        if not 1 <= iterations <= MOST_ITERATIONS:
            raise ValueError(f"iterations={iterations}: from 1 to {MOST_ITERATIONS}")
        adamw_options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "fused": fused}
        own = {"momentum": momentum, "iterations": iterations, "refresh": refresh, "blocks": blocks, "damping": damping}
        super().__init__(params, adamw_options | own | {"orthogonal": orthogonal})
        self._products = products
        for group in self.param_groups:
            group["fused"] &= not group["orthogonal"]  # else loading would put the steps' number on the device

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step of all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        assert getattr(self, "grad_scale", None) is None, "gradients are to be unscaled before a step"
        found_inf = getattr(self, "found_inf", None)
        if found_inf is not None and found_inf.item():  # a gradient overflowed: all stays as it is
            return loss
        for group in self.param_groups:
            if not group["orthogonal"]:
                self._adamw([parameter for parameter in group["params"] if parameter.grad is not None], group)
                continue
            for number, matrix in enumerate(group["params"]):
                if matrix.grad is not None:
                    self._orthogonal(matrix, group, number)
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's, which would give a root the type of its parameter, and so round it."""
        super().load_state_dict(state_dict)
        numbers = (number for group in state_dict["param_groups"] for number in group["params"])
        for number, parameter in zip(numbers, self.parameters(), strict=True):
            if "root" in (saved := state_dict["state"].get(number, {})):
                self.state[parameter]["root"] = saved["root"].to(parameter.device)

    def parameters(self) -> list[nn.Parameter]:
        """All of them, in the order of the groups."""
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def _adamw(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        """As torch.optim.AdamW does."""
        for parameter in parameters:
            if not self.state[parameter]:
                where = parameter.device if group["fused"] else "cpu"
                self.state[parameter] = {
                    "step": torch.zeros((), dtype=torch.float32, device=where),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        states = [self.state[parameter] for parameter in parameters]
        kept = {name: [state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step")}
        adamw(
            list[Tensor](parameters),
            [parameter.grad for parameter in parameters if parameter.grad is not None],
            kept["exp_avg"],
            kept["exp_avg_sq"],
            [],
            kept["step"],
            fused=group["fused"],
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def _orthogonal(self, matrix: nn.Parameter, group: dict[str, Any], number: int) -> None:
        """By Muon's rule; `number`: which of its group's it is, for its turn."""
        gradient, state = matrix.grad, self.state[matrix]
        assert gradient is not None
        if not state:
            state["step"], state["momentum"] = torch.tensor(0.0), torch.zeros_like(matrix)
        average = state["momentum"].lerp_(gradient, 1 - group["momentum"])
        x = gradient.lerp(average, group["momentum"])  # Nesterov's: a step ahead
        x = x.to(torch.promote_types(x.dtype, torch.float32)).view(group["blocks"], -1, x.shape[1])
        wide = x.shape[1] < x.shape[2]
        x = x.mT if wide else x
        x /= _norm(x)
        rounded = x if x.dtype == torch.float64 else x.to(self._products)
        root, damping = state.get("root"), group["damping"]
        if (int(state["step"]) + number) % group["refresh"] == 0 or root is None or len(root) != group["blocks"]:
            read = rounded if group["iterations"] <= MOST_IN_BFLOAT16 else x
            root = state["root"] = inverse_square_root(_damped(read.mT @ read, damping), group["iterations"])
        state["step"] += 1
        step = rounded @ root.to(rounded.dtype)
        longest = LONGEST * (1 + damping) ** 0.5
        shorter = (longest / _largest_singular_value(step)).clamp(max=1).to(matrix.dtype)
        step = (step.mT if wide else step).to(matrix.dtype)
        rate = group["lr"]
        matrix.mul_(1 - rate * group["weight_decay"])
        matrix.view(step.shape).addcmul_(step, shorter, value=-rate * RMS * max(x.shape[1:]) ** 0.5)


def _norm(x: Tensor) -> Tensor:
    """Frobenius norms of `x` `[K, M, N]`: `[K, 1, 1]`, never 0."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
    return norm.clamp(min=SMALLEST_NORM)


def _damped(gram: Tensor, damping: float) -> Tensor:
    """`gram` `[K, N, N]` of trace 1, and so afterwards."""
    if not damping:
        return gram
    flat = torch.eye(gram.shape[-1], device=gram.device) / gram.shape[-1]  # in float32, where a small damping counts
    return ((gram + damping * flat) / (1 + damping)).to(gram.dtype)


def _largest_singular_value(x: Tensor) -> Tensor:
    """Of each `[M, N]` of `x` `[K, M, N]`: `[K, 1, 1]`, by one power iteration from its longest row, which is near."""
    longest = torch.linalg.vector_norm(x, dim=2, keepdim=True).argmax(dim=1, keepdim=True)
    direction = (x @ torch.take_along_dim(x, longest, dim=1).mT).mT @ x  # [K, 1, N]; x.mT @ would copy x
    return _norm(x @ (direction / _norm(direction)).mT)


def inverse_square_root(gram: Tensor, iterations: int) -> Tensor:
    """About G^(-1/2) of each symmetric G of `gram` `[K, N, N]`, eigenvalues 0 to 1; less where those are small."""
    a, b, c = QUINTIC
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    root = identity
    for left in reversed(range(iterations)):
        p = torch.baddbmm(gram, gram, gram, beta=b, alpha=c) + a * identity
        root = p if root is identity else root @ p
        if left:
            gram = p @ gram @ p
    return root
