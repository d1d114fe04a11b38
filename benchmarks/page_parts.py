"""Markdown of pages that are made from figures."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
IMAGES = ROOT / "docs" / "images"
Figures = dict[str, Any]


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def span(figures: dict[str, float], digits: int = 1) -> str:
    """`median (lowest-highest)`; the median alone where they are one."""
    median, lowest, highest = (f"{figures[key]:,.{digits}f}" for key in ("median", "lowest", "highest"))
    return median if lowest == highest else f"{median} ({lowest}-{highest})"


def section(
    title: str, answer: str, image: str = "", alt: str = "", command: str = "", name: str = "", *, after: str = ""
) -> str:
    """A question, its answer, a picture, a table, and where the figures are from."""
    script, _, arguments = command.partition(" ")
    figures = read(next(path.stem for path in sorted(RESULTS.glob(f"{script}*.json"))))
    kept = [name] if name else [path.name for path in sorted(RESULTS.glob(f"{script}*.json"))]
    links = ", ".join(f"[{file}](../benchmarks/results/{file})" for file in kept)
    typed = f"python benchmarks/{script}.py {arguments}".strip()
    parts = [f"## {title}", answer]
    if image and (IMAGES / f"{image}.png").exists():
        parts.append(f"![{alt}](images/{image}.png)")
    if after:
        parts.append(after.strip())
    parts.append(f"`{typed}`, {figures['date']}: {links}")
    return "\n\n".join(parts) + "\n"


def read(name: str) -> Figures:
    """One benchmark's figures."""
    figures: Figures = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return figures
