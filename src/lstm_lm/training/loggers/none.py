"""`logger=default`, `logger=csv`: no tracking service."""

from lstm_lm.training.loggers.interface import LoggerOptions


class NoService(LoggerOptions):
    """Files in the run directory alone."""


LOGGER = NoService
