"""A training step without Lightning: what is timed before training, and what the application is compared with."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lstm_lm.data.streams import Batch
from lstm_lm.models.state import detach
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.optimizers import build_optimizer
from lstm_lm.training.parts import Parts
from lstm_lm.training.schedulers import build_scheduler


class BareLoop:
    """Takes the steps that Lightning would: carried state, precision, accumulation, clipping, schedule."""

    def __init__(self, config: TrainConfig, parts: Parts) -> None:
        """Move the model of `parts` to its device, in the type of its weights; takes no step yet."""
        machine = parts.hardware
        self._parts = parts
        self._device = machine.device
        self._dtype = machine.dtype
        self._mixed = machine.precision.endswith("-mixed")
        self._clip = config.trainer["gradient_clip_val"], config.trainer["gradient_clip_algorithm"]
        self._accumulate = int(config.trainer["accumulate_grad_batches"])
        self._model = parts.model.to(machine.device, machine.parameter_dtype)
        self._optimizer = build_optimizer(self._model, config.optimizer, precision=machine.precision)
        self._scheduler = build_scheduler(self._optimizer, config.scheduler, parts.total_steps)
        self._scaler = torch.amp.GradScaler(machine.device.type, enabled=machine.precision == "16-mixed")
        self._in_cuda_graphs = config.compile.enabled and machine.device.type == "cuda"
        self._windows = self._endless()
        self._state: Any = None

    def step(self) -> Tensor:
        """One optimizer step; gives its last window's loss. On a GPU it may still be running then (see `wait`)."""
        if self._in_cuda_graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        for number in range(self._accumulate):
            batch = next(self._windows)
            batch = batch._replace(inputs=batch.inputs.to(self._device), targets=batch.targets.to(self._device))
            if batch.fresh or self._state is None:
                self._state = self._model.initial_state(batch.inputs.shape[1])
            with torch.autocast(self._device.type, self._dtype, enabled=self._mixed):
                result = self._parts.task.objective.loss(self._model, batch, self._state)
            if number == 0:
                self._optimizer.zero_grad()
                self._parts.task.step_loss.begin()
            loss = self._parts.task.step_loss.add(batch, result.loss, result.nats)
            loss = loss if self._accumulate == 1 else loss / self._accumulate
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            self._state = detach(result.state)
        self._scaler.unscale_(self._optimizer)
        self._parts.task.mean_over_tokens(self._accumulate)
        value, algorithm = self._clip
        self._parts.task.configure_gradient_clipping(self._optimizer, value, algorithm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._scheduler.step()
        return result.loss.detach()

    def wait(self) -> None:
        """Return once the device has done all that it was asked to do."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()

    def _endless(self) -> Iterator[Batch]:
        loader = self._parts.data.train_dataloader()
        while True:
            yield from loader
