"""The groups of a configuration and their options, read from the folders and files of `conf/`."""

from omegaconf import OmegaConf

from lstm_lm.cli.conf_dir import conf_dir


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
    return [*chosen, *(str(key) for key in own if key not in ("defaults", "hydra"))]


def groups_of(config_name: str) -> list[str]:
    """The groups that a person chooses from."""
    return list(defaults_of(config_name))


def options_of(group: str) -> list[str]:
    """The options of a group: its files, but for those that are only parts of others (`_NAME.yaml`)."""
    return sorted(file.stem for file in (conf_dir() / group).glob("*.yaml") if not file.name.startswith("_"))


def option_table(config_name: str) -> str:
    """One line a group: its name and its options, the one that it has by default in brackets."""
    defaults = defaults_of(config_name)
    width = max(map(len, defaults))
    lines = []
    for group, default in defaults.items():
        options = [f"[{option}]" if option == default else option for option in options_of(group)]
        lines.append(f"  {group:{width}}  {', '.join(options)}")
    return "\n".join(lines)
