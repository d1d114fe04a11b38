"""Jobs of a sweep without a process for each: what tests put in the place of `fresh_process.run`."""

import contextlib
import contextvars
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton

from lstm_lm.cli.main import main
from lstm_lm.errors import ERROR_FILE
from lstm_lm.sweeps import fresh_process
from lstm_lm.sweeps.fresh_process import Ended


def as_in_a_process(arguments: Sequence[str], log: Path, *_: object) -> Ended:
    """Do what the job's command says, in this process, which has no imports to wait for."""
    error_file = Path(tempfile.mkdtemp()) / "error.json"
    before = Singleton.get_state()
    GlobalHydra.instance().clear()
    try:
        with pytest.MonkeyPatch.context() as patch, log.open("a") as output, contextlib.redirect_stdout(output):
            patch.setenv(ERROR_FILE, str(error_file))
            status = contextvars.copy_context().run(main, list(arguments))
    finally:
        Singleton.set_state(before)
    return fresh_process._ended(status, error_file, None, 1.0)
