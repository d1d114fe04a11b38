"""Training in a loop of a dozen lines: what the application does in a step, without the application around it."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lstm_lm.training import compiling
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.optimizers import build_optimizer
from lstm_lm.training.parts import Parts, build_parts
from lstm_lm.training.schedulers import build_scheduler
from lstm_lm.training.state import detach


def training_steps(config: TrainConfig, parts: Parts | None = None) -> Iterator[Tensor]:
    """Training steps without end: window, forward, loss, backward, clipping, optimizer, schedule; gives each loss.

    Precision, strategy, compile, optimizer and schedule are what `config` resolves to on this machine.
    """
    parts = parts or build_parts(config, None)
    device, model = parts.hardware.device, parts.model.to(parts.hardware.device)
    objective, precision = parts.task.objective, parts.hardware.precision
    if config.compile.enabled:
        compiling.compile_parts(model, objective, config.compile.mode)
    optimizer = build_optimizer(model, config.optimizer, precision=precision)
    scheduler = build_scheduler(optimizer, config.scheduler, parts.total_steps)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "16-mixed")
    mixed = precision.endswith("-mixed")
    state: Any = None
    while True:
        for batch in parts.data.train_dataloader():
            batch = batch._replace(inputs=batch.inputs.to(device), targets=batch.targets.to(device))
            if batch.fresh or state is None:
                state = model.initial_state(batch.inputs.shape[1])
            with torch.autocast(device.type, parts.hardware.dtype, enabled=mixed):
                result = objective.loss(model, batch, state)
            optimizer.zero_grad()
            scaler.scale(result.loss).backward()  # type: ignore[no-untyped-call]
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.trainer["gradient_clip_val"])
            scaler.step(optimizer)
            scaler.update()
            scheduler.step()
            state = detach(result.state)
            yield result.loss.detach()
