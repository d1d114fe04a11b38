"""The part of docs/benchmarks.md that is about whole training steps."""

from pathlib import Path
from typing import Any

from page_parts import asked_and_measured, picture, section, span, table


def sections(files: dict[str, dict[str, Any]], images: Path) -> list[str]:
    """One section for each file of figures."""
    return [_section(stem, figures, images) for stem, figures in files.items()]


def _section(stem: str, figures: dict[str, Any], images: Path) -> str:
    rows = [
        [
            shape,
            name,
            f"{contender['precision']}, {contender['forward']}, compile={contender['compile']}",
            f"{contender['step_ms']['median']:.2f}",
            f"{contender['loss']:.3f}",
            span(result["speed_of_today"][name], 2) if name in result["speed_of_today"] else "1",
        ]
        for shape, result in figures["shapes"].items()
        for name, contender in result["contenders"].items()
    ]
    refused = sorted(
        {f"{name}: {why}" for result in figures["shapes"].values() for name, why in result["refused"].items()}
    )
    body = (
        asked_and_measured(figures["figures"], ["shape"])
        + "\n"
        + picture(images, stem, "Training steps: times as fast as today's loop")
        + table(["shape", "contender", "what runs", "ms a step", "loss reached", "times as fast as today's"], rows)
    )
    note = (
        "`today` is the loop that people write: torch.nn.LSTM in float32, torch.optim.Adam, PyTorch's defaults. `ours` "
        "is the project's whole step (window, forward, loss, backward, clipping, optimizer, schedule) in a bare loop; "
        "`application` is `python train.py`, Lightning and logging included. Each contender is a process of its own; "
        "they work strictly in turn, on the same windows. The losses are those after the same number of steps: theirs "
        "differ as initial weights, schedule and optimizer do."
    )
    if refused:
        note += f" Left out: {'; '.join(refused)}."
    device = figures["machine"]["device"]
    return section(f"A whole training step against today's loop, {device}", figures, "training.py", body, note)
