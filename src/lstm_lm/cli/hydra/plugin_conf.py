"""What Hydra looks into behind `conf/`: a command's own groups, and other packages'.

A file of ours is never another's.
"""

from typing import ClassVar

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from lstm_lm import plugins
from lstm_lm.cli.hydra.conf import conf_dir


class _FurtherFolders(SearchPathPlugin):
    """What Hydra asks whenever it makes a search path."""

    command: ClassVar[str]

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        others = [(plugin.distribution, plugin.conf) for plugin in plugins.found().plugins]
        for provider, conf in [("lstm-lm", conf_dir()), *others]:
            for folder in (conf, conf / self.command):
                if folder.is_dir() and folder != conf_dir():  # Hydra warns of a folder that is not there
                    search_path.append(provider=provider, path=str(folder))


def join_search_path(command: str) -> None:
    """From now on, for a command, which is known by its configuration's name."""
    _FurtherFolders.command = command
    Plugins.instance().register(_FurtherFolders)
