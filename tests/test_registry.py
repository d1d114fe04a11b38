"""A folder that is a registry holds options and their interface, and nothing else."""

import sys

import pytest

from lstm_lm.errors import UserError
from lstm_lm.registry import find, names

CONSTANTS = {
    "tokenizers": "TOKENIZER",
    "data.corpora": "CORPUS",
    "models.backbones": "MODEL",
    "forward.strategies": "STRATEGY",
    "evaluation.methods": "METHOD",
    "exporting.formats": "FORMAT",
    "training.objectives": "OBJECTIVE",
    "training.averaging": "AVERAGING",
    "training.loggers": "LOGGER",
}


@pytest.mark.parametrize(("package", "constant"), CONSTANTS.items())
def test_every_module_of_a_registry_is_an_option(package, constant):
    options = names(f"lstm_lm.{package}")
    assert options
    for name in options:
        assert hasattr(find(f"lstm_lm.{package}", name, "key"), constant), f"{package}.{name} is no option"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A registry with the options `one` and `two`, an interface, and a folder that belongs to `two`."""
    folder = tmp_path / "made_up_registry"
    (folder / "used_by_two").mkdir(parents=True)
    for path in ("__init__.py", "interface.py", "one.py", "used_by_two/__init__.py"):
        (folder / path).touch()
    (folder / "two.py").write_text("OPTION = 2\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder.name
    for module in [module for module in sys.modules if module.startswith(folder.name)]:
        del sys.modules[module]


def test_the_interface_and_folders_are_no_options(package):
    assert names(package) == ["one", "two"]
    assert find(package, "two", "some.key").OPTION == 2


@pytest.mark.parametrize("name", ["three", "interface", "used_by_two", ""])
def test_what_is_no_option_is_refused_with_those_there_are(package, name):
    with pytest.raises(UserError, match="one, two") as caught:
        find(package, name, "some.key")
    assert f"some.key={name!r}" in str(caught.value)
