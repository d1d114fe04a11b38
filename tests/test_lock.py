"""requirements.lock names a version of everything that is needed, and one that pyproject.toml allows."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
SERVICES = ("mlflow", "wandb", "comet")
"""Extras whose packages the tests do without: a stand-in, where one is not installed."""


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def test_every_dependency_is_locked_to_a_version_that_is_allowed() -> None:
    wanted = [
        *project()["dependencies"],
        *(line for name, extra in project()["optional-dependencies"].items() if name not in SERVICES for line in extra),
    ]
    requirements = [Requirement(line) for line in wanted]
    versions = locked()
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        if name == "lstm-lm" or (requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})):
            continue
        assert name in versions, name
        assert requirement.specifier.contains(versions[name]), f"{name}=={versions[name]}"


@pytest.mark.parametrize("version", ["2.6.2", "2.6.3", "2.6.5"])
def test_versions_that_are_known_to_be_bad_are_not_allowed(version: str) -> None:
    """2.6.2 and 2.6.3 on the package index were malicious; before 2.6.6 loading a checkpoint could run code."""
    wanted = [Requirement(line) for line in project()["dependencies"]]
    lightning = next(requirement for requirement in wanted if requirement.name == "lightning")
    assert not lightning.specifier.contains(version)


def test_the_lock_names_no_place_to_fetch_from() -> None:
    assert "://" not in (ROOT / "requirements.lock").read_text()
    assert "@" not in "".join(locked())
