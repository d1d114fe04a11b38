"""The functions that the YAML files call: `fresh_dir` and `job_dir` name directories."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from lstm_lm.runs.directory import claim
from lstm_lm.sweeps.names import file_name

_LOOKING: ContextVar[bool] = ContextVar("a configuration is only looked at", default=False)


class FreshDirectories:
    """What `${fresh_dir:BASE}` gives: in one command always the same directory for the same `BASE`.

    Outside of `claiming`, and in `only_looking`, that is `BASE` itself, and nothing is made: who only looks at a
    configuration leaves no trace.
    """

    def __init__(self) -> None:
        self._claimed: dict[str, str] = {}
        self._made: list[Path] = []
        self._claiming = False

    def __call__(self, base: str) -> str:
        """The directory for `base`; relative where `base` is.

        Raises:
            UserError: it cannot be made.
        """
        if not self._claiming or _LOOKING.get():
            return base
        if base not in self._claimed:
            parents = Path(os.path.abspath(base)).parents
            missing = [parent for parent in parents if not parent.exists()]
            directory = claim(Path(base))
            self._made += [directory, *missing]
            self._claimed[base] = str(directory) if os.path.isabs(base) else os.path.relpath(directory)
        return self._claimed[base]

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Make directories, in this block; should it fail, those that are still empty go again."""
        self._claiming = True
        try:
            yield
        except BaseException:
            for directory in self._made:
                with contextlib.suppress(OSError):  # not empty: it holds what someone may want to look at
                    directory.rmdir()
            raise
        finally:
            self._claiming = False
            self._claimed.clear()
            self._made.clear()


@contextmanager
def only_looking() -> Iterator[None]:
    """In this block no directory is made: what a configuration says is looked at, before it is known to be good."""
    before = _LOOKING.set(True)
    try:
        yield
    finally:
        _LOOKING.reset(before)


def readable_name(number: int, overrides: list[str]) -> str:
    """`3_model.hidden_size=64_seed=2`: a name that every file system and shell takes, of at most 80 characters."""
    return file_name([str(number), *overrides])


def register(fresh: FreshDirectories) -> None:
    """Make the functions known to OmegaConf; `fresh` belongs to the command that runs."""
    OmegaConf.register_new_resolver("fresh_dir", fresh, replace=True)
    OmegaConf.register_new_resolver("job_dir", _job_dir, replace=True)


def _job_dir(number: int, *, _root_: DictConfig) -> str:
    """The folder of a sweep's job below the sweep's: its number, from 1 on, and what tells it from the other jobs."""
    # Read as they are: an override may hold an interpolation that means nothing here.
    overrides = OmegaConf.to_container(_root_.hydra.overrides.task, resolve=False)
    assert isinstance(overrides, list)
    shared = set(_root_.hydra.job.config.override_dirname.exclude_keys)
    return readable_name(number + 1, [str(line) for line in overrides if key_of(str(line)) not in shared])


def key_of(override: str) -> str:
    """`+model.hidden_size=64` -> `model.hidden_size`."""
    return override.partition("=")[0].lstrip("+~")
