"""The part of docs/benchmarks.md on shapes at which torch.nn.LSTM was not as fast in one section as in another."""

from typing import Any

from page_parts import table

VENDOR = "nn.LSTM"
APART = 1.25
"""Times as long: more than rounds differ within a section."""
Figures = dict[str, Any]


def two_speeds(files: Figures) -> str:
    """Where both sections measured a shape, and nn.LSTM's times are far apart; empty: nowhere."""
    rows = _rows(files)
    if not rows:
        return ""
    return (
        "**nn.LSTM on all cores has two speeds on this machine.** The sections below were measured one after the "
        "other, so the same shape has two ratios on this page; each is that of its own rounds. Most likely because "
        "nn.LSTM's threads meet at every time step: when one of them is held up (by another process on its core, "
        "say), all wait, and on a shared machine that lasts for minutes. `pipelined`, whose threads meet once a "
        "chunk, and nn.LSTM on one core, where none meet, move much less. Measured in both, and apart "
        "(milliseconds; among the figures -> in the grid):\n\n"
        + table(["type", "mode", "shape", VENDOR, "pipelined", "pipelined, times as fast as nn.LSTM"], rows)
        + "\n"
    )


def _rows(files: Figures) -> list[list[str]]:
    among = {
        (cell["kind"], cell["mode"], f"L={cell['layers']} H={cell['hidden']} B={cell['batch']} T={cell['steps']}"): cell
        for cell in files.get("grid", {}).get("cells", [])
    }
    rows: dict[tuple[str, str, str], list[str]] = {}
    for figure in files.get("figures", {}).get("figures", []):
        where = (figure["kind"], figure["mode"], figure["shape"])
        ms, cell = figure["ms"], among.get(where)
        if cell is None or not {VENDOR, "pipelined"} <= ms.keys() & cell["ms"].keys():
            continue
        pairs = [(ms[name], cell["ms"][name]) for name in (VENDOR, "pipelined")]
        if max(pairs[0]) >= APART * min(pairs[0]):
            first, second = figure["measured"]["median"], cell["speed_of_vendor"]["pipelined"]["median"]
            rows.setdefault(where, [*where, *(f"{a:.1f} -> {b:.1f}" for a, b in pairs), f"{first:.2f} -> {second:.2f}"])
    return list(rows.values())
