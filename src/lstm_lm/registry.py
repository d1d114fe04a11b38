"""The folder is the registry: option NAME of a package is its module NAME. Adding a file adds the option."""

import importlib
import pkgutil
from types import ModuleType

from lstm_lm.errors import UserError


def names(package: str) -> list[str]:
    """Names of the options below `package` ("lstm_lm.tokenizers"): its modules, less those in its `NOT_OPTIONS`."""
    root = importlib.import_module(package)
    reserved = getattr(root, "NOT_OPTIONS", frozenset({"interface"}))
    return sorted(module.name for module in pkgutil.iter_modules(root.__path__) if module.name not in reserved)


def find(package: str, name: str, where: str) -> ModuleType:
    """The module that implements option `name`; `where` is the key that asked for it ("tokenizer.name").

    Raises:
        UserError: there is no such option; the message lists those there are.
    """
    known = names(package)
    if name not in known:
        raise UserError(f"{where}={name!r}: no such option\nchoose one of: {', '.join(known)}")
    return importlib.import_module(f"{package}.{name}")
