"""Once rank 0 knows how its part ended, no signal of the agent's keeps it from leaving that."""

import os
import signal
from collections.abc import Iterator

import pytest

from lstm_lm.errors import Interrupted
from lstm_lm.stop_signals import stop_signals
from lstm_lm.training.processes.worker import _heard, _listen, _listen_no_more

pytestmark = pytest.mark.posix


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _heard()}
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
