"""What Lightning says on its own account, and what of it a person gets to see."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import lightning.pytorch as pl


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Lightning's notices of what it found and did are told elsewhere; its warnings are shown, but for one.

    Lightning 2.6.6 itself uses a class that PyTorch 2.13 deprecates, whenever it is given a loader. Nobody but
    Lightning can mend that.
    """
    logger = logging.getLogger(pl.__name__)
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)`", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)
