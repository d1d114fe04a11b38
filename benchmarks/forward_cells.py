"""Section `custom_cells` of forward.py: what a cell that no vendor computes costs, against the vendor's at that shape.

Whole models, made from the configuration by name, in training mode: tokens to logits and back. Embedding and output
projection are on both sides (65 characters: a few hundredths of the work), so what a cell costs comes out a little low
where the model is small.
"""

from contextlib import nullcontext
from typing import Any

import torch
from rounds import Contender, take_turns
from shapes import HEADLINE, MEDIUM, MODES, Case, Shape
from stacks import COMPILED, TYPES, NotComparable, compile_strategy, strategy_names, workload
from torch import Tensor

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.forward.choose import SelectedStrategy
from lstm_lm.models.build import build_model
from lstm_lm.training.compile.compilation import reset

VOCABULARY = 65
CHARGED = "plain, fused"
VARIANTS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "layer norm": ("model.layer_norm=true",),
    "relu": ("model.activation=relu",),
    "hard sigmoid gates": ("model.gate_activation=hard_sigmoid",),
    "recurrent dropout 0.2": ("model.recurrent_dropout=0.2",),
    "zoneout 0.1": ("model.zoneout_hidden=0.1", "model.zoneout_cell=0.1"),
    "weight drop 0.4": ("model.weight_drop=0.4",),
    "locked dropout 0.3": ("model.locked_dropout=true", "model.dropout=0.3"),
}
"""Name -> overrides of the configuration."""
ASKED = 3.0
"""At most so many times the vendor's time, with wavefront and compile, on a CPU."""
COMPILE_MODE = "default"


def measure(grid: str, kinds: tuple[str, ...], device: torch.device, rounds: int) -> dict[str, Any]:
    """A row a variant, shape, type and mode: how many times the vendor's time every way of running it takes."""
    shapes = {
        "tiny": (Shape(2, 8, 2, 5),),
        "small": (MEDIUM,),
        "full": (MEDIUM, HEADLINE, Shape(4, 512, 64, 64)),
    }[grid]
    # compiling takes minutes: on a small grid only what the goal is about
    compiled = {"tiny": (), "small": ("wavefront",), "full": COMPILED}[grid]
    variants = list(VARIANTS)[:2] if grid == "tiny" else list(VARIANTS)
    rows: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    for shape in shapes:
        for kind in kinds if grid == "full" else kinds[:1]:
            for mode in MODES if grid == "full" else ("training",):
                for variant in variants:
                    try:
                        rows.append(_variant(variant, Case(shape, kind, mode), device, rounds, compiled))
                    except NotComparable as reason:
                        left_out[variant] = str(reason)
    for variant, why in left_out.items():
        print(f"left out: {variant}: {why}", flush=True)
    return {"asked_at_most": ASKED, "rows": rows, "left_out": left_out}


def _variant(variant: str, case: Case, device: torch.device, rounds: int, compiled: tuple[str, ...]) -> dict[str, Any]:
    """Every way of running it, beside the plain cell on the vendor's kernel."""
    reset()
    contenders = [_contender(CHARGED, (), "fused", None, case, device)]
    refused: dict[str, str] = {}
    for name in ("fused", *COMPILED):
        if name == "fused" and not VARIANTS[variant]:
            continue
        for mode in (None, COMPILE_MODE) if name in compiled else (None,):
            label = name if mode is None else f"{name}, compile={mode}"
            try:
                contenders.append(_contender(label, VARIANTS[variant], name, mode, case, device))
            except NotComparable as reason:
                refused[label] = str(reason)
    if len(contenders) == 1:
        raise NotComparable("; ".join(sorted(set(refused.values()))))
    turns = take_turns(contenders, device, rounds)
    for contender in contenders:
        contender.close()
    costs = {name: turns.speed(CHARGED, name) for name in turns.seconds if name != CHARGED}
    text = "  ".join(f"{name} {ratio['median']:.2f}" for name, ratio in costs.items())
    print(f"{case.kind:<9}{case.mode:<10}{case.shape.label:<22}{variant:<22} times the vendor's: {text}", flush=True)
    return {
        "variant": variant,
        "overrides": list(VARIANTS[variant]),
        **case.shape._asdict(),
        "kind": case.kind,
        "mode": case.mode,
        "ms": {name: round(turns.median(name) * 1e3, 4) for name in turns.seconds},
        "times_the_vendors": costs,
        "first_call_seconds": {name: round(turns.first_call[name], 2) for name in costs if "compile" in name},
        "refused": refused,
    }


def _contender(
    label: str, overrides: tuple[str, ...], strategy: str, mode: str | None, case: Case, device: torch.device
) -> Contender:
    """A whole model, run by `strategy`.

    Raises:
        NotComparable: the configuration does not know the variant, or the strategy cannot run it.
    """
    shape = case.shape
    if strategy not in strategy_names():
        raise NotComparable(f"there is no strategy {strategy}")
    sizes = (
        f"model.num_layers={shape.layers}",
        f"model.hidden_size={shape.hidden}",
        f"model.embedding_size={shape.hidden}",
    )
    try:
        section = lstm_lm.compose(*sizes, *overrides)["model"]
        torch.manual_seed(1)
        model = build_model(section, VOCABULARY).to(device)
        model.masks.seed(1)
        choice = model.use_forward(strategy, device, workload(case))
    except UserError as error:
        raise NotComparable(" ".join(str(error).split())) from error
    if mode is not None and isinstance(choice, SelectedStrategy):
        compile_strategy(choice.strategy, mode)
    model.train(case.mode == "training")
    tokens = torch.randint(VOCABULARY, (shape.steps, shape.batch), device=device)
    gradient = torch.randn(shape.steps, shape.batch, VOCABULARY, device=device)
    state = model.initial_state(shape.batch)
    parameters = list(model.parameters())

    def run() -> Tensor:
        context: Any = nullcontext() if case.kind == "float32" else torch.autocast(device.type, TYPES[case.kind])
        with context:
            logits: Tensor = model(tokens, state)[0]
        return logits

    def work() -> object:
        if case.mode == "inference":
            with torch.inference_mode():
                return run()
        logits = run()
        return torch.autograd.grad(logits, parameters, gradient.to(logits.dtype))

    return Contender(label, work, close=model.close)
