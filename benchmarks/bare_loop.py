"""Training without the application around it: the loop that `tune=speed` times, as a row of steps."""

from collections.abc import Iterator

from lstm_lm.training.parts import Parts, build_parts
from torch import Tensor

from lstm_lm.training import compiling
from lstm_lm.training.bare_loop import BareLoop
from lstm_lm.training.config import TrainConfig


def training_steps(config: TrainConfig, parts: Parts | None = None) -> Iterator[Tensor]:
    """Training steps without end: window, forward, loss, backward, clipping, optimizer, schedule; gives each loss.

    Precision, strategy, compile, optimizer and schedule are what `config` resolves to on this machine.
    """
    parts = parts or build_parts(config, None)
    if config.compile.enabled:
        compiling.compile_parts(parts.model, parts.task.objective, config.compile.mode)
    loop = BareLoop(config, parts)
    while True:
        yield loop.step()
