"""What bfloat16 brings or costs on this processor: each recurrent cell, forwards and backwards, against float32.

    python benchmarks/sixteen_bits.py [--rounds 9] [--out FILE.json]

    float32         torch.nn.LSTM and its like
    bfloat16        the same with bfloat16 weights: what PyTorch makes of it here
    bf16-mixed      forward=fused under bfloat16 autocast: what this project makes of it
    products        one matrix product of the output projection, in both types

Ratios are each round's own (rounds.py). ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2
in the environment makes a newer processor an ordinary one.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from figures import record, save
from rounds import Contender, take_turns
from torch import Tensor, nn

from lstm_lm.cells.gru import GRU
from lstm_lm.cells.interface import Cell
from lstm_lm.cells.lstm import LSTM
from lstm_lm.cells.rnn import RNN
from lstm_lm.forward import trials
from lstm_lm.models.recurrent_stack import RecurrentStack
from lstm_lm.training.runtime.settings import keep_freed_memory

LAYERS, WIDTH, BATCH, STEPS, VOCABULARY = 2, 256, 32, 64, 96
CELLS: dict[str, tuple[Cell, Callable[..., nn.RNNBase]]] = {
    "LSTM": (LSTM, nn.LSTM),
    "GRU": (GRU, nn.GRU),
    "RNN": (RNN, nn.RNN),
}
CPU, FLOAT32, BFLOAT16 = torch.device("cpu"), torch.float32, torch.bfloat16


def cell_ratios(cell: Cell, module: Callable[..., nn.RNNBase], rounds: int) -> dict[str, Any]:
    """Milliseconds of each contender, and how many times as long as float32 it takes."""

    def plain(dtype: torch.dtype) -> Callable[[], object]:
        layers, x = module(WIDTH, WIDTH, LAYERS).to(dtype), torch.randn(STEPS, BATCH, WIDTH, dtype=dtype)
        return lambda: torch.autograd.backward(layers(x)[0].sum())

    stack, x = RecurrentStack(cell, WIDTH, [WIDTH] * LAYERS), torch.randn(STEPS, BATCH, WIDTH)

    def mixed() -> None:
        with torch.autocast("cpu", BFLOAT16):
            y: Tensor = stack(x, stack.initial_state(BATCH))[0]
        torch.autograd.backward(y.float().sum())

    turns = take_turns(
        [
            Contender("float32", plain(FLOAT32)),
            Contender("bfloat16", plain(BFLOAT16)),
            Contender("bf16-mixed", mixed),
        ],
        CPU,
        rounds,
    )
    return {
        "computed_in": str(trials.computed_in(cell, [CPU], BFLOAT16)).removeprefix("torch."),
        "ms": turns.ms(),
        "times_as_long": {name: turns.speed("float32", name) for name in ("bfloat16", "bf16-mixed")},
    }


def product_ratio(rounds: int) -> dict[str, Any]:
    """The output projection of one window."""

    def product(dtype: torch.dtype) -> Callable[[], object]:
        y, weight = torch.randn(STEPS * BATCH, WIDTH, dtype=dtype), torch.randn(VOCABULARY, WIDTH, dtype=dtype)
        return lambda: nn.functional.linear(y, weight)

    turns = take_turns([Contender("float32", product(FLOAT32)), Contender("bfloat16", product(BFLOAT16))], CPU, rounds)
    return {"ms": turns.ms(), "times_as_long": {"bfloat16": turns.speed("float32", "bfloat16")}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, help="write the figures there, as JSON")
    arguments = parser.parse_args()

    keep_freed_memory()
    cells = {name: cell_ratios(*pair, arguments.rounds) for name, pair in CELLS.items()}
    products = product_ratio(arguments.rounds)
    for name, result in [*cells.items(), ("products", products)]:
        shown = "  ".join(f"{way} {ratio['median']:.2f}" for way, ratio in result["times_as_long"].items())
        print(f"{name:<10} times as long as float32: {shown}")
    settings = {
        "rounds": arguments.rounds,
        "threads": torch.get_num_threads(),
        "shape": f"L={LAYERS} H={WIDTH} B={BATCH} T={STEPS} V={VOCABULARY}",
    }
    save(record("sixteen_bits", CPU, settings, {"cells": cells, "products": products}), arguments.out)


if __name__ == "__main__":
    main()
