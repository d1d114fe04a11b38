"""Packages with an entry point, as an installer leaves them: files, and a folder of metadata beside them."""

from collections.abc import Mapping
from pathlib import Path


def install(folder: Path, name: str, files: Mapping[str, str]) -> None:
    """The package `lstm_lm_NAME` 1.0 with `files`, by their paths in it; without any, its metadata alone."""
    package = f"lstm_lm_{name}"
    for path, text in files.items():
        (folder / package / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / package / path).write_text(text, encoding="utf-8")
    metadata = folder / f"{package}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: lstm-lm-{name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[lstm_lm.plugins]\n{name} = {package}\n")
