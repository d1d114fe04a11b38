"""Which files hold the figures of one benchmark, and what their machines are called."""

import json
from pathlib import Path
from typing import Any

AVX2 = "restricted to AVX2"
AVX2_ALONE = "another, with AVX2 alone"


def there(results: Path, benchmark: str) -> dict[str, dict[str, Any]]:
    """The figures of one benchmark by kind, which is the end of the file's name: "" for `forward.json`, `-avx2`, ..."""
    paths = sorted(results.glob(f"{benchmark}*.json"), key=lambda path: path.stem)
    found = {path.stem.removeprefix(benchmark): path for path in paths}
    own = {kind: path for kind, path in found.items() if not kind or kind.startswith("-")}
    return {kind: json.loads(path.read_text(encoding="utf-8")) for kind, path in own.items()}


def kind_of(figures: dict[str, Any]) -> str:
    """In words: the processor as it is, the same restricted, one that has no more, or another device."""
    machine = figures["machine"]
    if not machine["device"].startswith("cpu"):
        return str(machine["device"])
    if (instructions := machine.get("instructions", "")) == "AVX2":
        return AVX2_ALONE
    return AVX2 if "AVX2" in instructions and "told" in instructions else "as it is"
