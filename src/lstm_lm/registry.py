"""The folder is the registry: option NAME of a package is its module NAME. Adding a file adds the option.

One rule for every registry: each module in the folder is an option, but `interface`, which says what an option
implements. The entrance is the package itself; what several options share lies outside, or in a folder of its own.
Folders of the same name in other packages are part of it (`plugins.py`), behind this project's own.
"""

import importlib
from pathlib import Path
from types import ModuleType

from lstm_lm import plugins
from lstm_lm.errors import UserError

_PROJECT = "lstm_lm."


def names(package: str) -> list[str]:
    """Names of this project's own options of `package` ("lstm_lm.tokenizers"), sorted; no option is imported."""
    root = importlib.import_module(package)
    return plugins.options_in(Path(next(iter(root.__path__))))


def all_names(package: str) -> list[str]:
    """The same, and behind them other packages'."""
    registry = package.removeprefix(_PROJECT)
    return [*names(package), *(name for plugin in plugins.found().plugins for name in plugin.options(registry))]


def find(package: str, name: str, where: str) -> ModuleType:
    """The module that implements option `name`; `where` is the key that asked for it ("tokenizer.name").

    Raises:
        UserError: there is no such option: the message lists those there are. Or it is of a package that fails, or
            that lacks what belongs there.
    """
    if name in names(package):
        return importlib.import_module(f"{package}.{name}")
    registry = package.removeprefix(_PROJECT)
    plugin = plugins.offering(registry, name)
    if plugin is None:
        lines = [f"{where}={name!r}: no such option", f"choose one of: {', '.join(all_names(package))}"]
        raise UserError("\n".join([*lines, *plugins.found().problems[:2]]))
    try:
        module = importlib.import_module(f"{plugin.package}.{registry}.{name}")
        constant = plugins.REGISTRIES[registry]
        if not isinstance(getattr(module, constant, None), type):
            raise ImportError(f"{module.__file__} has no class {constant}")
    except Exception as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(
            f"{where}={name!r}: of {plugin.distribution}, which cannot be used: {cause:.300}\n"
            "update or uninstall that package, or use another option"
        ) from error
    return module
