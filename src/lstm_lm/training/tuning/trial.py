"""One candidate, timed: real optimizer steps of a fresh model on the real windows."""

import gc
import math
import time
from contextlib import ExitStack
from pathlib import Path

import torch

from lstm_lm.data.module import TextDataModule
from lstm_lm.errors import RunError
from lstm_lm.training import together
from lstm_lm.training.bare_loop import BareLoop
from lstm_lm.training.compilation import Compilation
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.distributed import ALONE
from lstm_lm.training.parts import Parts
from lstm_lm.training.tuning.failure import TrialFailed

WARM_UP_STEPS = 2
"""Memory is fetched, kernels are chosen, graphs are compiled."""


class StepTrial:
    """A model that is ready to train as `config` says."""

    def __init__(
        self, config: TrainConfig, checkpoint: Path | None, data: TextDataModule, patience: float = math.inf
    ) -> None:
        """Build it, and warm it up.

        Args:
            config: with every *how* decided.
            checkpoint: what the run continues, if it does.
            data: the text, prepared.
            patience: seconds after which no further step of one warm-up or timing begins.

        Raises:
            UserError: this model cannot run like that here.
            TrialFailed: it cannot be compiled, or not in time.
        """
        self._threads = config.runtime.threads
        self._patience = patience
        self._step_seconds = 0.0
        self._parts: Parts | None = None
        self._loop: BareLoop | None = None
        try:
            with ExitStack() as undo:
                undo.callback(self._give_back)
                self._set_threads()
                compilation = undo.enter_context(Compilation(config.compile))
                self._parts = together.prepare(config, checkpoint, ALONE, data)
                self._loop = BareLoop(config, self._parts)
                if compilation.enabled:
                    compilation.listen()
                self._take(WARM_UP_STEPS)
                self._undo = undo.pop_all()
        except RunError as error:
            raise TrialFailed(str(error)) from error
        self.compile_seconds = compilation.seconds

    def time(self, steps: int) -> float:
        """Mean seconds of `steps` optimizer steps, after one that is not counted: caches hold another's data."""
        self._set_threads()
        if self._step_seconds < self._patience:
            self._take(1)
        self._step_seconds = self._take(steps)
        return self._step_seconds

    def close(self) -> None:
        """Give back memory and threads."""
        self._undo.close()

    def _take(self, steps: int) -> float:
        """Mean seconds of a step."""
        assert self._loop is not None
        began, taken = time.perf_counter(), 0
        while taken < steps and (not taken or time.perf_counter() - began < self._patience):
            self._loop.step()
            taken += 1
        self._loop.wait()
        return (time.perf_counter() - began) / taken

    def _set_threads(self) -> None:
        if self._threads is not None:
            torch.set_num_threads(self._threads)

    def _give_back(self) -> None:
        parts, self._parts, self._loop = self._parts, None, None
        if parts is None:
            return
        parts.model.close()
        on_gpu = parts.hardware.device.type == "cuda"
        del parts
        gc.collect()  # compiled modules refer to themselves
        if on_gpu:
            torch.cuda.empty_cache()
