"""Training without the application around it: the same steps in a plain PyTorch loop, for the application to beat.

It takes the application's model, windows, objective, optimizer and schedule, so that what is compared is the loop.
tests/test_benchmarks.py holds it to the application's step, bit for bit.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lstm_lm.data.streams import Batch
from lstm_lm.models.state import detach
from lstm_lm.training.build import Parts, build
from lstm_lm.training.compile.compilation import compile_parts
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.optimizers import build_optimizer
from lstm_lm.training.plan import Plan
from lstm_lm.training.schedulers import build_scheduler


def training_steps(config: TrainConfig, parts: Parts | None = None) -> Iterator[Tensor]:
    """Training steps without end: window, forward, loss, backward, clipping, optimizer, schedule; gives each loss.

    Precision, strategy, compile, optimizer and schedule are what `config` resolves to on this machine. On a GPU a step
    may still be running when its loss is given.
    """
    parts = parts or build(Plan.new(config))
    task, machine, device = parts.task, parts.hardware, parts.hardware.device
    compile_parts(config.compile, parts.model, task.objective)
    in_cuda_graphs = config.compile.enabled and device.type == "cuda"
    accumulate = int(config.trainer["accumulate_grad_batches"])
    clip = config.trainer["gradient_clip_val"], config.trainer["gradient_clip_algorithm"]
    mixed = machine.precision.endswith("-mixed")
    model = parts.model.to(device, machine.parameter_dtype)
    optimizer = build_optimizer(model, config.optimizer, precision=machine.precision)
    scheduler = build_scheduler(optimizer, config.scheduler, parts.total_steps)
    scaler = torch.amp.GradScaler(device.type, enabled=machine.precision == "16-mixed")
    windows = _endless(parts)
    state: Any = None
    while True:
        if in_cuda_graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        optimizer.zero_grad()
        task.step_loss.begin()
        for _ in range(accumulate):
            batch = next(windows)
            batch = batch._replace(inputs=batch.inputs.to(device), targets=batch.targets.to(device))
            if batch.fresh or state is None:
                state = model.initial_state(batch.inputs.shape[1])
            with torch.autocast(device.type, machine.dtype, enabled=mixed):
                result = task.objective.loss(model, batch, state)
            loss = task.step_loss.add(batch, result.loss, result.nats)
            loss = loss if accumulate == 1 else loss / accumulate
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            state = detach(result.state)
        scaler.unscale_(optimizer)
        task.step_loss.scale_gradients(task.model.parameters(), accumulate)
        task.configure_gradient_clipping(optimizer, *clip)
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
        yield result.loss.detach()


def _endless(parts: Parts) -> Iterator[Batch]:
    loader = parts.data.train_dataloader()
    while True:
        yield from loader
