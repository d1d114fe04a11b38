"""How a benchmark's figures are kept: with the machine, the versions and the day they belong to."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from lstm_lm.runs.summary import git_commit, versions

LINE = 120
"""Characters of a line in a file of figures."""


def record(name: str, device: torch.device, settings: dict[str, Any], results: dict[str, Any]) -> dict[str, Any]:
    """One benchmark's figures, as they are written to `benchmarks/results/`."""
    return {
        "benchmark": name,
        "date": datetime.now(UTC).date().isoformat(),
        "git_commit": git_commit(),
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "device": _label(device), "instructions": _instructions()},
        "versions": {package: version for package, version in versions().items() if version is not None},
        "settings": settings,
        **results,
    }


def save(figures: dict[str, Any], path: Path | None) -> None:
    """Write the figures as JSON, where a path is given."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_text(figures) + "\n", encoding="utf-8")


def spread(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Median, lowest and highest."""
    return {
        "median": round(statistics.median(values), digits),
        "lowest": round(min(values), digits),
        "highest": round(max(values), digits),
    }


def figure(what: str, measured: dict[str, float], asked: float | None, **where: Any) -> dict[str, Any]:
    """One of the ratios that this project has set itself: `asked` is the least, None where it is for information."""
    reached = None if asked is None else measured["median"] >= asked
    return {"what": what, **where, "asked": asked, "measured": measured, "reached": reached}


def _text(value: Any, indent: str = "") -> str:
    """JSON with what fits on a line on one line: a spread, a shape."""
    flat = json.dumps(value)
    if len(indent) + len(flat) <= LINE or not value or not isinstance(value, (dict, list)):
        return flat
    deeper = indent + "  "
    if isinstance(value, list):
        return "[\n" + ",\n".join(deeper + _text(item, deeper) for item in value) + f"\n{indent}]"
    items = ",\n".join(f"{deeper}{json.dumps(str(key))}: {_text(item, deeper)}" for key, item in value.items())
    return "{\n" + items + f"\n{indent}}}"


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _instructions() -> str:
    """Which vector instructions PyTorch uses, and whether oneDNN was told to leave newer ones alone."""
    most = os.environ.get("ONEDNN_MAX_CPU_ISA")
    return torch.backends.cpu.get_cpu_capability() + ("" if most is None else f" (told: ONEDNN_MAX_CPU_ISA={most})")


def _label(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
