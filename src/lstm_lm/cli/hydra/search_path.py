"""What Hydra looks into behind `conf/`: a file of ours is never another's."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin


class _FurtherFolders(SearchPathPlugin):
    """What Hydra asks whenever it makes a search path."""

    folders: ClassVar[Sequence[tuple[str, Path]]] = ()

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for provider, folder in self.folders:
            search_path.append(provider=provider, path=str(folder))


def join_search_path(folders: Sequence[tuple[str, Path]]) -> None:
    """From now on Hydra looks into these, in this order: whose they are, and where, each there."""
    _FurtherFolders.folders = folders
    Plugins.instance().register(_FurtherFolders)
