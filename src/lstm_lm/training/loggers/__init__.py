"""Who listens besides a run's own files. One module is one service of the group `logger=`; `none` is without one."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from lstm_lm.errors import UserError
from lstm_lm.printable import cause_of
from lstm_lm.registry import find
from lstm_lm.runs.no_writer import NoWriter
from lstm_lm.training.loggers.interface import LoggerOptions

__all__ = ["LoggerOptions", "listening", "logger_options", "refuse_missing"]

_VERSION = re.compile(r"[\w-]{1,128}")
"""What services call a run; a summary may say anything."""


def logger_options(section: Mapping[str, Any]) -> LoggerOptions:
    """Check the `logger` section.

    Raises:
        UserError: no such logger; a key is unknown or missing, or its value is out of range.
    """
    kind: type[LoggerOptions] = find(__name__, str(section.get("name")), "logger.name").LOGGER
    return kind.parse(section, "logger")


def refuse_missing(options: LoggerOptions) -> None:
    """Before anything is done for a run that nobody could listen to.

    Raises:
        UserError: its package or key is not there; what to install or set.
    """
    if (line := options.missing()) is not None:
        raise UserError(line)


@contextmanager
def listening(options: LoggerOptions, folder: Path, writer: NoWriter, *, rank: int) -> Iterator[list[Logger]]:
    """The service's logger, in rank 0, while the run in `folder` lasts; it goes on where it was, as the summary says.

    Raises:
        UserError: the service cannot be reached, or does not take what it is asked for.
    """
    logger = _begin(options, folder, writer) if rank == 0 else None
    if logger is None:
        yield []
        return
    failed = True
    try:
        yield [logger]
        failed = False
    finally:
        options.close(logger, failed=failed)


def _begin(options: LoggerOptions, folder: Path, writer: NoWriter) -> Logger | None:
    known = [one.version for one in writer.summary.loggers or [] if one.name == options.kind]
    before = next((version for version in known if _VERSION.fullmatch(version)), None)
    for version in dict.fromkeys((before, None)):
        try:
            logger = options.make(folder, version)
            if logger is not None:
                _ = logger.experiment  # type: ignore[attr-defined]  # now, before training
            return logger
        except Exception as error:  # whatever the service's own
            if version is None:
                raise UserError(
                    f"logger={options.name}: cannot begin: {type(error).__name__}: {cause_of(error)}\n"
                    f"see the keys of logger.*, or do without it: logger=default"
                ) from error
            writer.notify(f"logger={options.name}: run {version} cannot be continued there; a new one is begun")
    raise AssertionError("the last version is None")
