"""The part of docs/benchmarks.md that says why a figure was not reached, and how that is known."""

from typing import Any

import torch

from lstm_lm.cells.lstm import LSTM
from lstm_lm.forward import costs
from lstm_lm.forward.grid import schedule
from lstm_lm.forward.interface import StackSpec, Workload

Figures = dict[str, Any]


def sections(files: dict[str, Figures]) -> list[str]:
    """A chapter where the strategies were measured on a CPU and something was not reached."""
    figures = files.get("forward", {}).get("figures")
    if figures is None or all(figure["reached"] is not False for figure in figures["figures"]):
        return []
    return [
        "## Figures that were not reached, and why\n\n"
        + "\n".join((_pipelined(), _wavefront(), _compiled(), _auto(files["forward"])))
    ]


def bound(*, training: bool, call: float = 1.0) -> float:
    """The most that two workers gain over one at L=8, H=128, B=16, T=128; `call` scales what a call costs."""
    layers, width, steps = 8, 128, 128
    spec = StackSpec(LSTM, width, (width,) * layers)
    workload = Workload(16, steps, torch.float32, training)
    layer = costs.layers(spec)[0]
    step = costs.vendor_step(layer, workload)
    one_call = costs.vendor_call(layer, workload)
    extra = call * one_call / step
    alone = layers * (steps + extra)
    return alone / schedule.makespan(schedule.best_chunking(steps, layers, 2, extra), layers, 2, extra)


def _pipelined() -> str:
    return (
        "**`pipelined` against nn.LSTM.** Each chunk is a call, in which oneDNN re-packs the layer's weights and, "
        "backwards, sums their gradient; and at the corners of the grid only one worker has a cell. The two pull "
        "against each other: the best cut that the simulation of the workers finds gains "
        f"{bound(training=False):.2f} in inference and {bound(training=True):.2f} in training with the calls' costs of "
        f"`forward/costs.py`, {bound(training=False, call=0):.2f} if calls cost nothing; the rest, by the trace "
        "above, is not waiting but slower calls, most likely because what a layer reads was last in the other core's "
        "cache. Six ways to do better were tried, and those that helped were kept "
        "([which](decisions/0014-forward-strategies.md)). nn.LSTM on both cores is as fast as it is here only while "
        "nothing else runs: its threads meet at every time step, a pipeline's once a chunk.\n"
    )


def _wavefront() -> str:
    layers, width = 8, 128
    mib = layers * 2 * 4 * width * width * 4 / 2**20
    return (
        "**`wavefront` against `stepwise`, float32.** Every anti-diagonal multiplies by the weights of all layers, "
        f"{mib:.0f} MiB at L=8 and H=128, twice what the two cores' own caches hold here; `stepwise` stays with one "
        "layer's, which they do hold. Under bfloat16, half as many bytes, the same ratio is reached. It also counts "
        "that `stepwise` has the deferred weight gradient, too (`forward/deferred.py`), and is no longer the slow loop "
        "that the figure was meant for. Tried: one product a share of the gates, one for both (kept from 4 layers on), "
        "the weights as the left factor (slower backwards).\n"
    )


def _auto(figures: Figures) -> str:
    """Nothing where the one shape that tells was not measured in both sections."""
    here = "L=8 H=128 B=16 T=128"
    alone = [
        figure["ms"]["nn.LSTM"]
        for figure in figures["figures"]["figures"]
        if (figure["what"], figure["shape"], figure["kind"], figure["mode"])
        == ("pipelined against nn.LSTM on all cores", here, "float32", "inference")
    ]
    size = {"layers": 8, "hidden": 128, "batch": 16, "steps": 128, "kind": "float32", "mode": "inference"}
    cells = figures.get("grid", {}).get("cells", [])
    among = [cell["ms"]["nn.LSTM"] for cell in cells if all(cell[key] == size[key] for key in size)]
    if not alone or not among:
        return ""
    return (
        "**`auto` against the best.** Asked was 0.95 of the best in 9 of 10 cells. The vendor's kernel on both cores "
        f"has no one time on this machine: {here}, float32, inference, took {alone[0]:.1f} ms among the figures above "
        f"and {among[0]:.1f} ms in the grid. Where the strategies are that close, a fixed rule is right in one state "
        "and wrong in the other; fitted to one run of the grid it is right in nine of ten cells there, and not in the "
        "next run. Nearly all misses are between `fused` and `pipelined`; `tune=speed` measures instead.\n"
    )


def _compiled() -> str:
    return (
        "**`compile=default` on `wavefront`.** A diagonal is a product and a dozen small operations on all layers; "
        "compiling fuses the small ones, and the product, which is the larger part there, stays what it was. On "
        "`stepwise`, where the small operations weigh more, the figure is reached.\n"
    )
