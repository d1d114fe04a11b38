"""`conf/`: where it is, and which groups and options its files, and other packages', give a configuration."""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf import OmegaConf

from lstm_lm import plugins
from lstm_lm.errors import UserError
from lstm_lm.flat_keys import flat_keys

_PACKAGE = Path(__file__).resolve().parents[2]
_A_FILE_OF_OURS = "train.yaml"

WIDTH = 80
"""Of a terminal that is as narrow as they come."""


def conf_dir(package: Path = _PACKAGE) -> Path:
    """The folder of `conf/`; `package` is the folder of the package `lstm_lm`.

    In a checkout, and in an editable install, which runs the checkout's sources, that is `conf/` beside `src/`; a
    wheel carries it as `lstm_lm/conf`.

    Raises:
        UserError: neither is there: the installation is damaged.
    """
    candidates = [package / "conf"]
    if package.parent.name == "src":  # else what lies further up belongs to someone else: lib/conf, /usr/conf, ...
        candidates.insert(0, package.parents[1] / "conf")
    for folder in candidates:
        if (folder / _A_FILE_OF_OURS).is_file():
            return folder
    raise UserError(
        f"the configuration files are missing: no {_A_FILE_OF_OURS} in {' or '.join(map(str, candidates))}\n"
        "install lstm-lm again"
    )


def search_further(config_name: str) -> None:
    """Have Hydra look into other packages' folders, too, and into that of the groups that only this command has.

    Those lie in `conf/COMMAND/GROUP/`: a folder `conf/format/` would make a group of every command's key `format`.
    """
    from lstm_lm.cli.hydra.search_path import join_search_path

    others = [(plugin.distribution, plugin.conf) for plugin in plugins.found().plugins]
    folders = [("lstm-lm", conf_dir() / config_name)]
    folders += [(whose, folder) for whose, conf in others for folder in (conf, conf / config_name)]
    join_search_path([each for each in folders if each[1].is_dir()])  # Hydra warns of a folder that is not there


@contextmanager
def composing(config_name: str) -> Iterator[None]:
    """In this block Hydra composes a configuration of `conf/`, whatever it did before."""
    from hydra import initialize_config_dir  # --help, which reads names of files, does without Hydra
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    search_further(config_name)
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        yield


def defaults_of(config_name: str) -> dict[str, str | None]:
    """The option that each group has unless another is asked for, in the order of `conf/`'s file."""
    entries = OmegaConf.to_container(OmegaConf.load(conf_dir() / f"{config_name}.yaml").defaults)
    assert isinstance(entries, list)
    return {
        str(group): option
        for entry in entries
        if isinstance(entry, dict)
        for group, option in entry.items()
        if group != "hydra"
    }


def top_level_names() -> list[str]:
    """The configurations there are, one a command."""
    return sorted(file.stem for file in conf_dir().glob("*.yaml"))


def keys_of(config_name: str) -> list[str]:
    """The keys at the top of a configuration that it always has, groups first."""
    own = OmegaConf.load(conf_dir() / f"{config_name}.yaml")
    chosen = (group for group, option in defaults_of(config_name).items() if option is not None)
    return list(dict.fromkeys([*chosen, *(str(key) for key in own if key not in ("defaults", "hydra"))]))


def own_keys(config_name: str) -> list[str]:
    """The keys of a configuration's file itself, as they are typed: `data.path`, and without `where.`."""
    own = OmegaConf.to_container(OmegaConf.load(conf_dir() / f"{config_name}.yaml"), resolve=False)
    assert isinstance(own, dict)
    found = flat_keys({str(key): value for key, value in own.items() if key not in ("defaults", "hydra")})
    return [key.removeprefix("where.") for key in found]


def groups_of(config_name: str) -> list[str]:
    """The groups that a person chooses from."""
    return list(defaults_of(config_name))


def options_of(group: str) -> list[str]:
    """The options of a group: its files, but for those that are only parts of others (`_NAME.yaml`)."""
    return sorted({file.stem for file in files_of(group)})


def files_of(group: str) -> list[Path]:
    """The files of these options, in no order."""
    folders = [conf_dir(), *(plugin.conf for plugin in plugins.found().plugins)]
    roots = [root for folder in folders for root in (folder, *(folder / command for command in top_level_names()))]
    return [file for root in roots for file in (root / group).glob("*.yaml") if not file.name.startswith("_")]


def option_table(config_name: str) -> str:
    """A group a line, or more: its name and its options, the one that it has by default in brackets.

    A group with one option is left out: there is nothing to choose.
    """
    defaults = defaults_of(config_name)
    width = max(map(len, defaults), default=0)
    lines = []
    for group, default in defaults.items():
        options = [f"[{option}]" if option == default else option for option in options_of(group)]
        if len(options) > 1:
            indent = " " * (width + 4)
            lines += textwrap.wrap(
                ", ".join(options),
                WIDTH,
                initial_indent=f"  {group:{width}}  ",
                subsequent_indent=indent,
                break_on_hyphens=False,
            )
    return "\n".join(lines)
