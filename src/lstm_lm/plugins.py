"""Other packages' options: the packages that entry points of the group `lstm_lm.plugins` name.

Such a package is laid out as this one is: option NAME of `tokenizer=` is its module `tokenizers/NAME.py`, with
`conf/tokenizer/NAME.yaml` in it. It is found and listed without being imported; an option is imported when it is asked
for. So whoever installs one changes nothing else, and a broken one is in nobody's way. Code comes from here alone, from
what is installed: a configuration says which name, and never where it lies.
"""

import importlib.util
import os
import pkgutil
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

GROUP = "lstm_lm.plugins"
REGISTRIES = {
    "tokenizers": "TOKENIZER",
    "data.corpora": "CORPUS",
    "models.backbones": "MODEL",
    "forward.strategies": "STRATEGY",
    "evaluation.methods": "METHOD",
    "training.objectives": "OBJECTIVE",
    "training.optimizers": "OPTIMIZER",
    "training.schedulers": "SCHEDULER",
    "training.averaging": "AVERAGING",
    "training.loggers": "LOGGER",
    "exporting.formats": "FORMAT",
}
"""The folders to which a package can add, and the constant that each module there holds: a class."""
INTERFACE = "interface"
"""The module of a registry that is no option."""


class Plugin(NamedTuple):
    """A package that offers options."""

    distribution: str
    """What was installed, as `lstm-lm-morse 1.0`."""
    package: str
    """What it is imported as."""
    folder: Path

    @property
    def conf(self) -> Path:
        """Its configuration files; the folder need not be there."""
        return self.folder / "conf"

    def options(self, registry: str) -> list[str]:
        """Names that it adds to `registry`, `tokenizers` say."""
        return options_in(self.folder.joinpath(*registry.split(".")))


class Found(NamedTuple):
    """What is installed."""

    plugins: tuple[Plugin, ...]
    problems: tuple[str, ...]
    """For each package that is left out, a line that says why."""


def options_in(folder: Path) -> list[str]:
    """The modules of a registry's folder that are options, sorted; nothing is imported."""
    modules = (module.name for module in pkgutil.iter_modules([str(folder)]) if not module.ispkg)
    return sorted(name for name in modules if name != INTERFACE)


@cache
def found() -> Found:
    """All packages that offer options, but for those that are not there, or that use a name that is taken."""
    if not _is_mentioned():
        return Found((), ())
    from importlib.metadata import entry_points  # and 70 modules, which most have no use for

    own = Path(__file__).parent
    taken = {(registry, name): "lstm-lm" for registry in REGISTRIES for name in _own_options(own, registry)}
    plugins: list[Plugin] = []
    problems: list[str] = []
    for entry in sorted(entry_points(group=GROUP)):
        distribution = entry.name if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
        package = entry.value.partition(":")[0].strip()  # an object behind it has no meaning here
        folder = _folder(package)
        if folder is None:
            problems.append(f"plugin {distribution}: left out: its package {package} is not there; install it again")
            continue
        plugin = Plugin(distribution, package, folder)
        new = [(registry, name) for registry in REGISTRIES for name in plugin.options(registry)]
        clashes = [option for option in new if option in taken]
        if clashes:
            registry, name = clashes[0]
            why = f"{registry.replace('.', '/')}/{name}.py is a name that {taken[clashes[0]]} has"
            problems.append(f"plugin {distribution}: left out: {why}; uninstall one")
            continue
        taken |= dict.fromkeys(new, distribution)
        plugins.append(plugin)
    return Found(tuple(plugins), tuple(problems))


def offering(registry: str, name: str) -> Plugin | None:
    """The package that has option `name` of `registry`."""
    return next((plugin for plugin in found().plugins if name in plugin.options(registry)), None)


def _is_mentioned() -> bool:
    """Whether anything installed speaks of the group: what every command asks, in a few milliseconds."""
    mark = f"[{GROUP}]".encode()
    for folder in sys.path:
        with suppress(OSError), os.scandir(folder or ".") as entries:  # it may not be there, or no folder
            for entry in entries:
                if entry.name.endswith((".dist-info", ".egg-info")):
                    with suppress(OSError), open(os.path.join(entry.path, "entry_points.txt"), "rb") as file:
                        if mark in file.read():
                            return True
    return False


def _own_options(own: Path, registry: str) -> list[str]:
    return options_in(own.joinpath(*registry.split(".")))


def _folder(package: str) -> Path | None:
    """Where a package lies; neither it nor one that it is in is imported for that."""
    top, *below = package.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    places = None if spec is None else spec.submodule_search_locations
    folder = Path(next(iter(places))).joinpath(*below) if places else None
    return folder if folder is not None and folder.is_dir() else None
