"""Every import of the package, read from its source: which way they point, and what they keep out."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

import lstm_lm

SOURCE = Path(lstm_lm.__file__).parent
FOLDERS = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
ENTRANCES = {"lstm_lm", "lstm_lm.__main__"}
"""They stand above all: the Python API, which is imported on demand, and the command line."""
FACTS = {"__version__", "__file__"}
"""What the package itself says without importing anything."""
NEITHER = ("lightning", "pytorch_lightning", "hydra", "omegaconf")


@cache
def architecture() -> list[set[str]]:
    """The layers that docs/architecture.md draws, from the top: `cli` → ... → `cells`."""
    text = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    found = re.search(r"Imports point one way: (.*?);", text, re.DOTALL)
    assert found, "docs/architecture.md says which way imports point"
    return [set(re.findall(r"`(\w+)`", layer)) for layer in found[1].split("→")]


@cache
def trees() -> dict[str, ast.Module]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        name = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imported(module: str) -> Iterator[str]:
    """What `module` imports anywhere: at its top, in functions, and for the type checker alone."""
    for node in ast.walk(trees()[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name != "lstm_lm")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are written in full"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if name in trees():
                    yield name
                elif node.module != "lstm_lm" or alias.name not in FACTS:
                    yield str(node.module)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "lstm_lm" and node.attr not in FACTS:
            yield "lstm_lm"


@cache
def arrows() -> dict[str, set[str]]:
    """For each module those of the package that it imports."""
    return {module: {name for name in imported(module) if name in trees()} - {module} for module in trees()}


def folder(module: str) -> str:
    """The folder of the package that `module` is in; empty for one that lies beside the folders."""
    name = f"{module}.".split(".")[1]
    return name if name in FOLDERS else ""


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Sets of nodes each of which reaches all others of its set."""

    @cache
    def reached(start: str) -> frozenset[str]:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            new = graph.get(waiting.pop(), set()) - found
            found |= new
            waiting += new
        return frozenset(found)

    found = {frozenset({one, *(two for two in reached(one) if one in reached(two))}) for one in graph}
    return [set(circle) for circle in found if len(circle) > 1]


def test_no_modules_import_each_other_in_a_circle():
    assert not [sorted(circle) for circle in circles(arrows())]


def test_no_folders_import_each_other_in_a_circle():
    between = {
        name: {folder(target) for module in trees() if folder(module) == name for target in arrows()[module]} - {name}
        for name in FOLDERS
    }
    assert not [sorted(circle) for circle in circles(between)]


def test_the_architecture_shows_every_folder():
    assert set(chain(*architecture())) == FOLDERS


def test_no_arrow_points_upwards():
    height = {name: -depth for depth, layer in enumerate(architecture()) for name in layer}
    below_all = -len(architecture())
    upwards = [
        f"{module} imports {target}"
        for module in trees().keys() - ENTRANCES
        for target in arrows()[module]
        if target in ENTRANCES or height.get(folder(target), below_all) > height.get(folder(module), below_all)
    ]
    assert not sorted(upwards)


@pytest.mark.parametrize("name", ["cells", "forward", "models", "tokenizers"])
def test_what_computes_knows_neither_lightning_nor_hydra(name: str):
    assert not [
        f"{module} imports {other}"
        for module in trees()
        if folder(module) == name
        for other in imported(module)
        if other.split(".")[0] in NEITHER
    ]


def test_data_knows_no_model():
    models = {"models", "forward", "cells"}
    assert not [
        f"{module} imports {target}"
        for module in trees()
        if folder(module) == "data"
        for target in arrows()[module]
        if folder(target) in models
    ]
