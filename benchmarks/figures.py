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


def record(name: str, device: torch.device, settings: dict[str, Any], results: dict[str, Any]) -> dict[str, Any]:
    """One benchmark's figures, as they are written to `benchmarks/results/`."""
    return {
        "benchmark": name,
        "date": datetime.now(UTC).date().isoformat(),
        "git_commit": git_commit(),
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "device": _label(device)},
        "versions": {package: version for package, version in versions().items() if version is not None},
        "settings": settings,
        **results,
    }


def save(figures: dict[str, Any], path: Path | None) -> None:
    """Write the figures as JSON, where a path is given."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def spread(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Median, lowest and highest."""
    return {
        "median": round(statistics.median(values), digits),
        "lowest": round(min(values), digits),
        "highest": round(max(values), digits),
    }


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that it was asked to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _label(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
