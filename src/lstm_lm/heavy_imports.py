"""Imports that take long, without what makes them longer: Python's search for garbage.

An import makes many objects and drops few. Each time their number has grown by a quarter, the collector looks at all of
them, and once more as the process ends: for PyTorch and Lightning 1.5 of 3.6 seconds.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heavy_imports() -> Iterator[None]:
    """Import in this block; what is there at its end is never looked at again, and so never found to be garbage.

    For commands, whose process is theirs: it keeps what it has imported for as long as it runs. A block that finds all
    of its modules there changes nothing.
    """
    collects, modules = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > modules:
            gc.freeze()
        if collects:
            gc.enable()
