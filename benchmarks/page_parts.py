"""The Markdown of docs/benchmarks.md."""

from pathlib import Path
from typing import Any


def section(title: str, figures: dict[str, Any], command: str, body: str, note: str) -> str:
    """A heading, where the figures are from, the table, what it means."""
    machine, versions = figures["machine"], figures["versions"]
    source = (
        f"`python benchmarks/{command}`; {machine['cpu']}, {machine['cores']} cores, device {machine['device']}; "
        f"Python {versions['python']}, torch {versions['torch']}; {figures['date']}, "
        f"commit {(figures['git_commit'] or 'unknown')[:8]}."
    )
    return f"## {title}{kind(figures)}\n\n{source}\n\n{body}\n{note}\n"


def kind(figures: dict[str, Any]) -> str:
    """`, AVX2 (told: ONEDNN_MAX_CPU_ISA=AVX2)`: which instructions were used; empty where that was not noted."""
    instructions = figures["machine"].get("instructions")
    return "" if instructions is None else f", {instructions}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def span(figures: dict[str, float], digits: int = 1) -> str:
    """`median (lowest-highest)`."""
    median, lowest, highest = (f"{figures[key]:,.{digits}f}" for key in ("median", "lowest", "highest"))
    return f"{median} ({lowest}-{highest})"


def asked_and_measured(figures: list[dict[str, Any]], place: list[str]) -> str:
    """The ratios that the project has set itself; `place` are the keys that say where each was measured."""
    rows = [
        [
            figure["what"],
            *(str(figure[key]) for key in place),
            "-" if figure["asked"] is None else f"{figure['asked']:.2f}",
            span(figure["measured"], 2),
            {True: "yes", False: "no", None: ""}[figure["reached"]],
        ]
        for figure in figures
    ]
    return table(["what", *place, "at least", "measured", "reached"], rows)


def picture(images: Path, name: str, alt: str) -> str:
    """An image below `docs/`, where it has been drawn."""
    return f"![{alt}]({images.name}/{name}.png)\n\n" if (images / f"{name}.png").exists() else ""
