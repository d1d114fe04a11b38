"""`optimizer=muon`: steps with all singular values alike for the matrices inside a model, AdamW's for the rest.

Muon (Jordan et al., 2024, kellerjordan.github.io/posts/muon): the averaged gradient M = U S V^T of a matrix is replaced
by about U V^T, so that a few directions do not take the whole step. Newton and Schulz's iteration needs no
decomposition: X <- X p(X^T X), some times, from X = M / |M| on.

Here it runs on the Gram matrix G = X^T X of the smaller side (Dao AI Lab, "Gram Newton-Schulz", 2026): root <-
root p(G), G <- p(G) G p(G), in float32, where what they mend in 16 bits does not arise. X root is the step, multiplied
in bfloat16 where the layers are. M turns slowly, so a root serves for `refresh` steps, as Shampoo's do (Gupta et al.,
2018). What else was tried: docs/decisions/0033-muon.md.
"""

from collections.abc import Callable
from typing import Annotated, Any, overload

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Optimizer

from lstm_lm.errors import UserError
from lstm_lm.training.optimizers.adamw import AdamW
from lstm_lm.training.optimizers.interface import Decay, Groups

QUINTIC = (3.4445, -4.7750, 2.0315)
"""p(G) = 3.4445 - 4.7750 G + 2.0315 G^2: Jordan's, steep at 0; singular values end between about 0.7 and 1.2."""
RMS = 0.2
"""Root mean square of a step at lr=1, about AdamW's (Liu et al., "Muon is Scalable for LLM Training", 2025)."""
LONGEST = 1.25
"""Times an orthogonal matrix's norm: the most that an old root may make of a momentum that has turned."""
SMALLEST_NORM = 1e-7
USUAL_RATES = (5e-3, 4e-2)


class MuonOptions(AdamW):
    """What AdamW takes, for the rest of the parameters, and its own."""

    momentum: Decay
    iterations: Annotated[int, Field(ge=1, le=20)]
    refresh: Annotated[int, Field(ge=1)]
    blocks: Annotated[int, Field(ge=1)]

    @property
    def leaves_out_overflows(self) -> bool:
        """False: its step is no kernel that looks for them."""
        return False

    @property
    def warning(self) -> str | None:
        low, high = USUAL_RATES
        if low / 2 <= self.lr <= high * 2:
            return None
        return f"optimizer.lr={self.lr:g}: Muon usually wants {low:g} to {high:g}, also where AdamW wants another rate"

    def description(self, model: nn.Module) -> str:
        matrices = inner_matrices(model)
        numbers = sum(matrix.numel() for matrix in matrices)
        share = numbers / sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        return f"{super().description(model)}: {len(matrices)} matrices, {share:.0%} of the parameters; adamw: the rest"

    def groups(self, model: nn.Module) -> Groups:
        """The matrices that it takes, then AdamW's groups without them.

        Raises:
            UserError: there are none, or one cannot be cut into as many blocks.
        """
        matrices = inner_matrices(model)
        if not matrices:
            raise UserError("optimizer=muon: the model has no matrices between embedding and output: optimizer=adamw")
        for rows in (len(matrix) for matrix in matrices):
            if rows % self.blocks:
                raise UserError(f"optimizer.blocks={self.blocks}: does not divide a matrix of {rows} rows; 1 does")
        taken = {id(matrix) for matrix in matrices}
        rest = [
            {**group, "params": [each for each in group["params"] if id(each) not in taken]}
            for group in super().groups(model)
        ]
        return [{"params": matrices, "weight_decay": self.weight_decay, "orthogonal": True}, *rest]

    def make(self, groups: Groups, *, fused: bool, products: torch.dtype) -> Optimizer:
        return Muon(
            groups,
            lr=self.lr,
            betas=(self.betas[0], self.betas[1]),
            eps=self.eps,
            momentum=self.momentum,
            iterations=self.iterations,
            refresh=self.refresh,
            blocks=self.blocks,
            fused=fused,
            products=products,
        )


def inner_matrices(model: nn.Module) -> list[nn.Parameter]:
    """The trained matrices of `model`, but for those of its `token_parts`, which have a row or column a token."""
    edges = tuple(f"{part}." for part in getattr(model, "token_parts", ()))
    return [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.ndim == 2 and not name.startswith(edges)
    ]


class Muon(torch.optim.AdamW):
    """AdamW, but for groups with orthogonal=True, of matrices, which it moves by Muon's rule."""

    def __init__(
        self,
        params: Groups,
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        momentum: float,
        iterations: int,
        refresh: int,
        blocks: int,
        weight_decay: float = 0.0,
        orthogonal: bool = False,
        fused: bool = False,
        products: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, fused=fused)
        self._products = products
        own = {"momentum": momentum, "iterations": iterations, "refresh": refresh, "blocks": blocks}
        self.defaults |= own | {"orthogonal": orthogonal}
        for group in self.param_groups:
            group |= self.defaults | group
            group["fused"] = fused and not group["orthogonal"]  # else loading would put the steps' number on the device

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step of all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        orthogonal = [group for group in self.param_groups if group["orthogonal"]]
        moved = [(matrix, matrix.grad, group) for group in orthogonal for matrix in group["params"]]
        for matrix, _, _ in moved:
            matrix.grad = None  # which AdamW takes for "not this one"
        super().step()
        for number, (matrix, gradient, group) in enumerate(moved):
            matrix.grad = gradient
            if gradient is not None:
                self._move(matrix, gradient, group, number)
        return loss

    @torch.no_grad()
    def _move(self, matrix: nn.Parameter, gradient: Tensor, group: dict[str, Any], number: int) -> None:
        state = self.state[matrix]
        if not state:
            state["step"], state["momentum"] = torch.tensor(0.0), torch.zeros_like(matrix)
        average = state["momentum"].lerp_(gradient, 1 - group["momentum"])
        x = gradient.lerp(average, group["momentum"])  # Nesterov's: a step ahead
        x = x.to(torch.promote_types(x.dtype, torch.float32)).view(group["blocks"], -1, x.shape[1])
        wide = x.shape[1] < x.shape[2]
        x = x.mT if wide else x
        norm = _norm(x)
        if "root" not in state or (int(state["step"]) + number) % group["refresh"] == 0:
            state["root"] = inverse_root(x.mT @ x / norm.square(), group["iterations"])
        state["step"] += 1
        kind = torch.float64 if x.dtype == torch.float64 else self._products
        step = x.to(kind) @ (state["root"] / norm).to(kind)
        shorter = (LONGEST * step.shape[2] ** 0.5 / _norm(step)).clamp(max=1).to(matrix.dtype)
        step = (step.mT if wide else step).to(matrix.dtype)
        rate = group["lr"]
        matrix.mul_(1 - rate * group["weight_decay"])
        matrix.view(step.shape).addcmul_(step, shorter, value=-rate * RMS * max(x.shape[1:]) ** 0.5)


def _norm(x: Tensor) -> Tensor:
    """Frobenius norms of `x` `[K, M, N]`: `[K, 1, 1]`, never 0."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
    return norm.clamp(min=SMALLEST_NORM)


def inverse_root(gram: Tensor, iterations: int) -> Tensor:
    """About G^(-1/2) of each G of `gram` `[K, N, N]`, symmetric, eigenvalues 0 to 1; less where those are small."""
    a, b, c = QUINTIC
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    root = identity
    for left in reversed(range(iterations)):
        p = torch.baddbmm(gram, gram, gram, beta=b, alpha=c) + a * identity
        root = p if root is identity else root @ p
        if left:
            gram = p @ gram @ p
    return root


OPTIMIZER = MuonOptions
