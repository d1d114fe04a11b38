"""One candidate, timed: real optimizer steps of a fresh model on the real windows, as Lightning takes them."""

import gc
import math
import time
from contextlib import ExitStack

import torch

from lstm_lm.data.module import TextDataModule
from lstm_lm.errors import RunError
from lstm_lm.synchronize import synchronize
from lstm_lm.training.build import prepare
from lstm_lm.training.compile.compilation import Compilation
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.plan import Plan
from lstm_lm.training.processes.team import ALONE
from lstm_lm.training.signals import StopSignals
from lstm_lm.training.tuning.candidates import TrialFailed
from lstm_lm.training.tuning.fit import fit

LEAD_STEPS, LEAD_STEPS_OF_CUDA_GRAPHS = 1, 3
"""Steps before those that count: memory is fetched, caches hold another's data; and graphs are recorded anew."""


class StepTrial:
    """A model that is ready to train as a plan says."""

    def __init__(
        self,
        plan: Plan,
        data: TextDataModule,
        signals: StopSignals,
        patience: float = math.inf,
    ) -> None:
        """Build it, and warm it up.

        Args:
            plan: with every *how* decided.
            data: the text, prepared.
            signals: ends what is being timed.
            patience: seconds after which no further step of one timing begins.

        Raises:
            UserError: this model cannot run like that here.
            TrialFailed: it cannot be compiled, or not in time.
        """
        config = plan.config
        self._config, self._signals, self._patience = config, signals, patience
        try:
            with ExitStack() as undo:
                self._set_threads()
                compilation = undo.enter_context(Compilation(config.compile))
                self._parts = prepare(plan, ALONE, data)
                undo.callback(self._give_back)
                self.time(1)
                self._undo = undo.pop_all()
        except RunError as error:
            raise TrialFailed(str(error)) from error
        self.compile_seconds = compilation.seconds

    def time(self, steps: int) -> float:
        """Mean seconds of `steps` optimizer steps, of fewer where they take long; after some that are not counted."""
        self._set_threads()
        device, patience = self._parts.hardware.device, self._patience
        in_graphs = self._config.compile.enabled and device.type == "cuda"
        lead = LEAD_STEPS_OF_CUDA_GRAPHS if in_graphs else LEAD_STEPS
        began, taken, mean = time.perf_counter(), 0, math.nan

        def enough(task: LanguageModelTask) -> bool:  # noqa: ARG001
            nonlocal began, taken, mean, lead
            taken += 1
            ended = taken == lead + steps or time.perf_counter() - began > patience
            if ended or taken == lead:
                synchronize(device)
                mean = (time.perf_counter() - began) / taken
            if taken == lead and not ended:
                began, taken, lead = time.perf_counter(), 0, 0
            return ended

        fit(self._config, self._parts, self._signals, enough)
        return mean

    def close(self) -> None:
        """Give back memory and threads."""
        self._undo.close()

    def _set_threads(self) -> None:
        if self._config.runtime.threads is not None:
            torch.set_num_threads(self._config.runtime.threads)

    def _give_back(self) -> None:
        self._parts.model.close()
        on_gpu = self._parts.hardware.device.type == "cuda"
        del self._parts
        gc.collect()  # compiled modules refer to themselves
        if on_gpu:
            torch.cuda.empty_cache()
