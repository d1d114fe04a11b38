"""Drawing dropout masks: the project's way against torch's, interleaved.

python benchmarks/dropout.py [--device cpu] [--rounds 15] [--out FILE.json]
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from figures import record, save, spread

from lstm_lm.models.dropout import MaskSource
from lstm_lm.synchronize import synchronize
from lstm_lm.training.runtime.settings import keep_freed_memory

SHAPES = {"T=64 B=32 H=256": (64, 32, 256), "T=100 B=64 H=256": (100, 64, 256), "T=128 B=64 H=512": (128, 64, 512)}
P = 0.4


def measure(shape: tuple[int, ...], device: torch.device, rounds: int) -> dict[str, Any]:
    """Milliseconds a mask, and how many times faster the project's way is."""
    source, like = MaskSource(), torch.empty(0, device=device)
    source.seed(1)
    generator = torch.Generator(device).manual_seed(1)
    ways: dict[str, Callable[[], torch.Tensor]] = {
        "MaskSource": lambda: source.draw(P, shape, like),
        "bernoulli_": lambda: torch.empty(shape, device=device).bernoulli_(1 - P, generator=generator).div_(1 - P),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 2):
        for name, way in ways.items():
            synchronize(device)
            began = time.perf_counter()
            way()
            synchronize(device)
            if number >= 2:
                seconds[name].append(time.perf_counter() - began)
    ratios = [slow / fast for slow, fast in zip(seconds["bernoulli_"], seconds["MaskSource"], strict=True)]
    return {
        "ms": {name: spread([value * 1e3 for value in values]) for name, values in seconds.items()},
        "ratio": spread(ratios),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, help="write the figures there, as JSON")
    arguments = parser.parse_args()

    keep_freed_memory()
    device = torch.device(arguments.device)
    results = {label: measure(shape, device, arguments.rounds) for label, shape in SHAPES.items()}
    print(f"{'ms a mask':<20}{'MaskSource':>12}{'bernoulli_':>12}{'ratio':>8}")
    for label, result in results.items():
        ms = result["ms"]
        print(
            f"{label:<20}{ms['MaskSource']['median']:>12.2f}{ms['bernoulli_']['median']:>12.2f}"
            f"{result['ratio']['median']:>8.1f}"
        )
    save(record("dropout", device, {"rounds": arguments.rounds, "p": P}, {"shapes": results}), arguments.out)


if __name__ == "__main__":
    main()
