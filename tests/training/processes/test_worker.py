"""Once rank 0 knows how its part ended, no signal of the agent's keeps it from leaving that."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lstm_lm.errors import Interrupted
from lstm_lm.stop_signals import signals_that_stop, stop_signals
from lstm_lm.training.processes.worker import _listen, _listen_no_more

pytestmark = pytest.mark.posix


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in signals_that_stop()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_interrupts_rank_0_until_its_outcome_is_known() -> None:
    _listen(0)
    with pytest.raises(Interrupted):
        os.kill(os.getpid(), signal.SIGTERM)
    _listen_no_more(0)
    for number in stop_signals():
        os.kill(os.getpid(), number)


def test_the_run_itself_then_hears_the_same_signals() -> None:
    """That of a closed terminal, too, though it is no longer as the system had it."""
    before = signals_that_stop()
    _listen(0)
    assert signals_that_stop() == before
    assert signal.SIGHUP in before


def test_what_other_ranks_print_goes_where_errors_do(tmp_path: Path) -> None:
    """Though one is a file, and the other a pipe or terminal, in which there is no place to seek."""
    code = (
        "import os; from lstm_lm.display import standard_streams; from lstm_lm.training.processes import worker\n"
        "worker._write_as_errors()\n"
        "with standard_streams(): print('python', flush=True); os.write(1, b'c')"
    )
    with (tmp_path / "log").open("wb") as log:
        done = subprocess.run([sys.executable, "-c", code], stdout=log, stderr=subprocess.PIPE, text=True, check=True)
    assert done.stderr == "python\nc"
    assert (tmp_path / "log").read_bytes() == b""
