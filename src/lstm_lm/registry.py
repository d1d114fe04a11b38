"""The folder is the registry: option NAME of a package is its module NAME. Adding a file adds the option.

One rule for every registry: each module in the folder is an option, but `interface`, which says what an option
implements. The entrance is the package itself; what several options share lies outside, or in a folder of its own.
"""

import importlib
import pkgutil
from types import ModuleType

from lstm_lm.errors import UserError

INTERFACE = "interface"


def names(package: str) -> list[str]:
    """Names of the options of `package` ("lstm_lm.tokenizers"), sorted; no option is imported."""
    root = importlib.import_module(package)
    modules = (module.name for module in pkgutil.iter_modules(root.__path__) if not module.ispkg)
    return sorted(name for name in modules if name != INTERFACE)


def find(package: str, name: str, where: str) -> ModuleType:
    """The module that implements option `name`; `where` is the key that asked for it ("tokenizer.name").

    Raises:
        UserError: there is no such option; the message lists those there are.
    """
    known = names(package)
    if name not in known:
        raise UserError(f"{where}={name!r}: no such option\nchoose one of: {', '.join(known)}")
    return importlib.import_module(f"{package}.{name}")
