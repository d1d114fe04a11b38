"""A configuration makes nothing but what this project uses: with real payloads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lstm_lm.cli.allowed_targets import check_targets
from lstm_lm.errors import UserError


@pytest.mark.parametrize(
    "payload",
    [
        "+hydra.callbacks.e={_target_: evil.f}",
        "+hydra.callbacks.e={_target_: hydra.utils.get_object, path: evil.f}",
        "hydra.callbacks.refuse_early._target_=evil.f",
        "hydra.sweeper._target_=evil.f",
        "+hydra.job_logging.handlers.e={class: evil.f}",
        "+hydra.hydra_logging.handlers.e={class: logging.StreamHandler, stream: 'ext://evil.f'}",
        "+model._target_=evil.f",
    ],
)
@pytest.mark.parametrize("multirun", [(), ("-m",)], ids=["run", "sweep"])
def test_no_module_that_a_configuration_names_is_imported(
    payload: str, multirun: tuple[str, ...], here: Callable[..., Any], own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_folder / "evil.py").write_text("import pathlib; pathlib.Path('it ran').touch()\nf = print\n")
    monkeypatch.syspath_prepend(str(own_folder))
    said = here("train", *multirun, payload)
    assert said.status == 2
    assert "evil.f: not allowed: it could run any code" in said.err or "get_object: not allowed" in said.err
    assert len(said.err.splitlines()) <= 4
    assert not (own_folder / "it ran").exists()


def test_what_is_refused_is_named_wherever_it_lies() -> None:
    with pytest.raises(UserError, match=r"^a\.0\.b\._target_=os\.system: not allowed"):
        check_targets({"a": [{"b": {"_target_": "os.system"}}]})
    with pytest.raises(UserError, match="not allowed"):
        check_targets({"_target_": "${oc.env:TARGET}"})
    with pytest.raises(UserError, match=r"^hydra\.job_logging\.handlers\.e\.\(\)=evil\.f: not allowed"):
        check_targets({"hydra": {"job_logging": {"handlers": {"e": {"()": "evil.f"}}}}})
    check_targets({"model": {"class": "any", "path": "ext://somewhere"}})


@pytest.mark.parametrize("typed", [["hydra.searchpath=[pkg://evil]"], ["--config-path", "pkg://evil"]], ids=" ".join)
def test_no_package_is_looked_into(
    typed: list[str], here: Callable[..., Any], own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_folder / "evil").mkdir()
    (own_folder / "evil" / "__init__.py").write_text("import pathlib; pathlib.Path('it ran').touch()\n")
    monkeypatch.syspath_prepend(str(own_folder))
    said = here("train", *typed, "model.hidden_size=0")
    assert said.status == 2
    assert "pkg://evil: not allowed: looking into a package runs its code" in said.err
    assert len(said.err.splitlines()) <= 4
    assert not (own_folder / "it ran").exists()
