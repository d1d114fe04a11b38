"""Other packages' `conf/` in Hydra's search path, behind this project's own: a file of ours is never another's."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from lstm_lm import plugins


class _PluginConf(SearchPathPlugin):
    """What Hydra asks whenever it makes a search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for plugin in plugins.found().plugins:
            if plugin.conf.is_dir():  # Hydra warns of a folder that is not there
                search_path.append(provider=plugin.distribution, path=str(plugin.conf))


def join_search_path() -> None:
    """From now on; a second time nothing is done."""
    Plugins.instance().register(_PluginConf)
