"""Muon with decompositions where the project has products: what `plain_loop` trains with."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class PlainMuon:
    """For `matrices`; AdamW for the `rest`. Looks like one of torch.optim's, as far as the loop uses those."""

    def __init__(self, matrices: Sequence[Tensor], rest: torch.optim.AdamW, options: dict[str, Any]) -> None:
        self.param_groups: list[dict[str, Any]] = [{"lr": options["lr"]}, *rest.param_groups]
        self._matrices, self._rest, self._options = matrices, rest, options
        self._averages = [torch.zeros_like(matrix) for matrix in matrices]
        self._roots: list[Tensor] = []
        self._steps = 0

    def zero_grad(self) -> None:
        self._rest.zero_grad()
        for matrix in self._matrices:
            matrix.grad = None

    @torch.no_grad()
    def step(self) -> None:
        options, rate = self._options, self.param_groups[0]["lr"]
        self._rest.step()
        for number, matrix in enumerate(self._matrices):
            beta, gradient = options["momentum"], matrix.grad
            assert gradient is not None
            self._averages[number] = beta * self._averages[number] + (1 - beta) * gradient
            ahead = (1 - beta) * gradient + beta * self._averages[number]
            x = ahead.T if len(ahead) < ahead.shape[1] else ahead
            x = x / x.norm()
            if self._steps == 0:
                self._roots.append(root(x, options["iterations"], options["damping"]))
            elif (self._steps + number) % options["refresh"] == 0:
                self._roots[number] = root(x, options["iterations"], options["damping"])
            step = x @ self._roots[number]
            direction = step.T @ (step @ step[step.norm(dim=1).argmax()])  # of the largest singular value, about
            longest = 2.0 * (1 + options["damping"]) ** 0.5
            step *= min(1.0, longest / float((step @ (direction / direction.norm())).norm()))
            step = step.T if len(ahead) < ahead.shape[1] else step
            matrix *= 1 - rate * options["weight_decay"]
            matrix -= rate * 0.2 * max(matrix.shape) ** 0.5 * step
        self._steps += 1


def root(x: Tensor, iterations: int, damping: float) -> Tensor:
    """What x is multiplied by, so that p replaces each singular value s: p(s) = 3.4445 s - 4.7750 s^3 + 2.0315 s^5.

    With `damping`, p(r) / r multiplies s instead, where r^2 = (s^2 + damping / N) / (1 + damping).
    """
    squares, vectors = torch.linalg.eigh((x.T @ x).double())
    squares = (squares + damping / len(squares)) / (1 + damping)
    before = squares.clamp(min=1e-300).sqrt()
    after = before
    for _ in range(iterations):
        after = 3.4445 * after - 4.7750 * after**3 + 2.0315 * after**5
    return (vectors * (after / before) @ vectors.T).to(x.dtype)
