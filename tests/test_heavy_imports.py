import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lstm_lm.heavy_imports import heavy_imports


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Name of a module that nobody has imported."""
    name = "a_module_of_this_test"
    (tmp_path / f"{name}.py").write_text("import gc\ncollects = gc.isenabled()\nnode = [[]]\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name)
    gc.unfreeze()


def test_the_collector_rests_during_an_import_and_works_after_it(importable: str) -> None:
    before = gc.get_freeze_count()
    with heavy_imports():
        module = __import__(importable)
    assert not module.collects
    assert gc.isenabled()
    assert gc.get_freeze_count() > before
    assert not any(thing is module.node for thing in gc.get_objects())


def test_what_is_there_already_freezes_nothing() -> None:
    before = gc.get_freeze_count()
    with heavy_imports():
        import json  # noqa: F401
    assert gc.get_freeze_count() == before


def test_an_import_that_fails_leaves_the_collector_as_it_was() -> None:
    with pytest.raises(ModuleNotFoundError), heavy_imports():
        __import__("no_such_module_there_is")
    assert gc.isenabled()


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    try:
        with heavy_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
