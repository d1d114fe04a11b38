"""Runs the cells of a notebook in a kernel of their own, without what surrounds these tests."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EXECUTE = """
import json, sys
import nbformat
from nbclient import NotebookClient

sources = json.load(sys.stdin)
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
NotebookClient(notebook, timeout=900, allow_errors=True, kernel_name="python3").execute()
json.dump([cell.outputs for cell in notebook.cells], sys.stdout)
"""

Outputs = list[dict[str, Any]]
"""What one cell leaves behind, as a notebook's file has it."""


def execute(cells: Sequence[str], folder: Path) -> list[Outputs]:
    """The outputs of each cell; one after another in `folder`, an error ends none but its own."""
    own = {name: str(folder / "jupyter") for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR")}
    cache = {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(ROOT / "src")}
    result = subprocess.run(
        [sys.executable, "-c", EXECUTE],
        input=json.dumps(cells),
        cwd=folder,
        env=os.environ | own | cache,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        timeout=1000,
        check=True,
    )
    executed: list[Outputs] = json.loads(result.stdout)
    return executed


def shown(outputs: Outputs) -> str:
    """The text of a cell's outputs, one after the other."""
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)


def kinds(outputs: Outputs) -> list[tuple[str, list[str]]]:
    """Of what kind each output is, and the formats that it comes in."""
    return [(output["output_type"], sorted(output.get("data", {}))) for output in outputs]
