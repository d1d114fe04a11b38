"""Ways to run one stack of LSTM layers, as contenders: torch.nn.LSTM, every strategy of the project, compiled ones.

All have the same weights, input and state, and all that is compared is checked to give the same output first.
"""

import inspect
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from rounds import Contender
from shapes import Case
from torch import Tensor, nn

from lstm_lm.cells.lstm import LSTM
from lstm_lm.forward.choose import choose
from lstm_lm.forward.interface import Strategy, Workload
from lstm_lm.models.recurrent_stack import RecurrentStack
from lstm_lm.registry import find, names

VENDOR, ONE_CORE = "nn.LSTM", "nn.LSTM, one core"
COMPILED = ("stepwise", "wavefront")
"""Strategies that have something to compile."""
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
TOLERANCE = {"float32": 2e-3, "bfloat16": 5e-2, "float16": 2e-2}
"""Far wider than the tests': this only keeps unlike work from being compared."""


class NotComparable(Exception):
    """A contender that cannot be had, or not here; the reason is for people to read."""


def strategy_names() -> list[str]:
    """Every strategy there is."""
    return names("lstm_lm.forward.strategies")


def make_strategy(name: str, **options: Any) -> Strategy:
    """A strategy with options of its own, where it takes them.

    Raises:
        NotComparable: there is no such strategy, or it has no such option.
    """
    if name not in strategy_names():
        raise NotComparable(f"there is no strategy {name}")
    make = find("lstm_lm.forward.strategies", name, "forward").STRATEGY
    unknown = options.keys() - inspect.signature(make).parameters.keys()
    if unknown:
        raise NotComparable(f"{name} has no option {', '.join(sorted(unknown))}")
    strategy: Strategy = make(**options)
    return strategy


def workload(case: Case) -> Workload:
    """What a strategy is asked to do in one case."""
    return Workload(case.shape.batch, case.shape.steps, TYPES[case.kind], training=case.mode == "training")


class Stacks:
    """The contenders for one case."""

    def __init__(self, case: Case, device: torch.device) -> None:
        self.case, self.device = case, device
        shape = case.shape
        torch.manual_seed(1)
        self.stack = RecurrentStack(LSTM, shape.hidden, [shape.hidden] * shape.layers).to(device)
        self.vendor = nn.LSTM(shape.hidden, shape.hidden, shape.layers).to(device)
        self.vendor.load_state_dict(self.stack.state_dict())
        training = case.mode == "training"
        sizes = (shape.steps, shape.batch, shape.hidden)
        self.x = torch.randn(sizes, device=device).requires_grad_(training)
        self.gradient = torch.randn(sizes, device=device)
        self.state = self.stack.initial_state(shape.batch)
        zeros = torch.zeros(shape.layers, shape.batch, shape.hidden, device=device)
        self.vendor_state = (zeros, zeros.clone())
        self._expected = self._once(lambda: self.vendor(self.x, self.vendor_state)[0])

    def vendors(self) -> list[Contender]:
        """nn.LSTM on all cores and, on a CPU, on one."""
        work = self.work(lambda: self.vendor(self.x, self.vendor_state)[0], list(self.vendor.parameters()))
        alone = [Contender(ONE_CORE, work, threads=1)] if self.device.type == "cpu" else []
        return [Contender(VENDOR, work), *alone]

    def vendor_on(self, threads: int) -> Contender:
        """nn.LSTM on so many threads."""
        work = self.work(lambda: self.vendor(self.x, self.vendor_state)[0], list(self.vendor.parameters()))
        return Contender(f"{VENDOR}, {threads}", work, threads=threads)

    def layer_modules(self) -> Contender:
        """L modules nn.LSTM of one layer each, with the same weights."""
        shape = self.case.shape
        modules = nn.ModuleList(nn.LSTM(shape.hidden, shape.hidden) for _ in range(shape.layers)).to(self.device)
        weights = self.stack.state_dict()
        for index, module in enumerate(modules):
            module.load_state_dict(
                {name: weights[name.removesuffix("_l0") + f"_l{index}"] for name in module.state_dict()}
            )
        zeros = torch.zeros(1, shape.batch, shape.hidden, device=self.device)

        def run() -> Tensor:
            y = self.x
            for module in modules:
                y, _ = module(y, (zeros, zeros))
            return y

        return self.checked(Contender("L nn.LSTM of one layer", self.work(run, list(modules.parameters()))), run)

    def strategy(self, name: str, *, mode: str | None = None, label: str | None = None, **options: Any) -> Contender:
        """A strategy, eager or compiled in `mode`.

        Raises:
            NotComparable: it cannot run here.
        """
        strategy = make_strategy(name, **options)
        reason = strategy.supports(self.stack.spec, self.device, torch.float32)
        if reason is not None:
            raise NotComparable(reason)
        if mode is not None:
            compile_strategy(strategy, mode)

        def run() -> Tensor:
            self.stack.strategy = strategy
            return self.stack(self.x, self.state)[0]  # type: ignore[no-any-return]

        label = label or (name if mode is None else f"{name}, compile={mode}")
        contender = Contender(label, self.work(run, list(self.stack.parameters())), close=strategy.close)
        return self.checked(contender, run)

    def all_strategies(self) -> tuple[list[Contender], dict[str, str]]:
        """Every strategy, eager; and of those that cannot run here, why."""
        contenders: list[Contender] = []
        refused: dict[str, str] = {}
        for name in strategy_names():
            try:
                contenders.append(self.strategy(name))
            except NotComparable as reason:
                refused[name] = str(reason)
        return contenders, refused

    def auto(self) -> str:
        """The strategy that `forward=auto` takes here."""
        choice = choose("auto", self.stack.spec, self.device, workload(self.case))
        choice.strategy.close()
        return choice.strategy.name

    def work(self, run: Callable[[], Tensor], parameters: Sequence[Tensor]) -> Callable[[], object]:
        """One call of it: in training, forward and backward."""
        if self.case.mode == "inference":
            return lambda: self._once(run)
        wanted = [self.x, *parameters]

        def step() -> object:
            with self._autocast():
                y = run()
            return torch.autograd.grad(y, wanted, self.gradient.to(y.dtype))

        return step

    def checked(self, contender: Contender, run: Callable[[], Tensor]) -> Contender:
        """The contender, if its output is nn.LSTM's."""
        y = self._once(run)
        difference = float((y.float() - self._expected.float()).abs().max())
        if not difference <= TOLERANCE[self.case.kind]:
            contender.close()
            raise AssertionError(f"{contender.name}, {self.case}: differs from nn.LSTM by {difference:.2g}")
        return contender

    @torch.inference_mode()
    def _once(self, run: Callable[[], Tensor]) -> Tensor:
        with self._autocast():
            return run()

    def _autocast(self) -> Any:
        if self.case.kind == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, TYPES[self.case.kind])


def compile_strategy(strategy: Strategy, mode: str) -> None:
    """Compile what a strategy has to compile.

    Raises:
        NotComparable: it has nothing.
    """
    if not strategy.compile(mode):
        raise NotComparable(f"{strategy.name} has nothing to compile")
