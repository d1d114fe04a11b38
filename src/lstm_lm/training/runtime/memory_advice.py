"""Too little memory: the warning before training, and what fits where a GPU has run out of it."""

import gc
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import lightning.pytorch as pl
import psutil
import torch

from lstm_lm import limits
from lstm_lm.data.streams import Batch
from lstm_lm.device_memory import lacks_device_memory
from lstm_lm.errors import RunError
from lstm_lm.training.build import Parts


def estimate(parts: Parts) -> int:
    """Bytes that training takes, about, in one process."""
    options, machine = parts.data.options, parts.hardware
    weights = parts.model.num_parameters() * machine.parameter_dtype.itemsize
    activations = parts.model.activation_floats(options.batch_size * options.seq_len) * machine.dtype.itemsize
    return weights * (2 + parts.task.optimizer_options.averages) + activations  # with gradients and averages


def warnings_before(parts: Parts) -> list[str]:
    """A line where the estimate is more than there is: a system that runs out of memory ends processes unasked."""
    device, needed = parts.hardware.device, estimate(parts)
    available: float
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        available = torch.cuda.mem_get_info(device)[0] + kept
    elif device.type == "cpu":
        needed *= parts.team.size
        available = min(psutil.virtual_memory().available, limits.usable_memory(), limits.address_space_left())
    else:
        return []
    if needed <= available:
        return []
    return [
        f"training takes about {limits.gib(needed)} of memory, and {limits.gib(available)} are free on {device.type}; "
        "a smaller data.batch_size with trainer.accumulate_grad_batches trains the same"
    ]


@contextmanager
def instead_of_a_traceback(trainer: pl.Trainer, parts: Parts) -> Iterator[None]:
    """Tell a person what fits where a GPU runs out of memory in here.

    Raises:
        RunError: it did.
    """
    try:
        yield
    except RuntimeError as error:
        if not lacks_device_memory(error):
            raise
        raise out_of_memory(error, trainer, parts) from None


def out_of_memory(error: RuntimeError, trainer: pl.Trainer, parts: Parts) -> RunError:
    """What to tell instead of `error`: the batch that fits, found by halving, and what keeps the effective batch."""
    _forget(error)
    data, accumulated = parts.data.options, trainer.accumulate_grad_batches
    if parts.task.scoring.under_way:
        where = f"{parts.hardware.device}: out of memory while scoring with data.eval_batch_size={data.eval_batch_size}"
        fits = largest_that_fits(data.eval_batch_size, lambda size: _score(trainer, parts, size), dividing=False)
        if fits is None:
            return RunError(f"{where}\nnot even one stream fits: use a smaller model, or a shorter data.seq_len")
        return RunError(
            f"{where}\ndata.eval_batch_size={fits} fits\n"
            "to go on with it: resume=force (scores of fewer streams differ a little)"
        )
    if parts.team.size > 1:  # a step of one process alone would wait for the others' gradients
        return RunError(
            f"{parts.hardware.device}: out of memory with data.batch_size={data.batch_size} in each process\n"
            f"try half of it, and accumulate: data.batch_size={max(1, data.batch_size // 2)} "
            f"trainer.accumulate_grad_batches={2 * accumulated}"
        )
    fits = largest_that_fits(data.batch_size, lambda size: _step(trainer, parts, size), dividing=True)
    where = f"{parts.hardware.device}: out of memory with data.batch_size={data.batch_size}"
    if fits is None:
        return RunError(f"{where}\nnot even a batch of 1 fits: use a smaller model, or a shorter data.seq_len")
    return RunError(
        f"{where}, data.seq_len={data.seq_len}\n"
        f"data.batch_size={fits} fits; the same effective batch: "
        f"data.batch_size={fits} trainer.accumulate_grad_batches={accumulated * data.batch_size // fits}"
    )


def largest_that_fits(whole: int, run: Callable[[int], None], *, dividing: bool) -> int | None:
    """The largest batch, from half of `whole` on and by halving, with which `run` does not run out; None: none.

    With `dividing` only such that divide `whole`: with as many windows accumulated the effective batch is the same.
    """
    size = whole // 2
    while size >= 1:
        if dividing and whole % size:
            size -= 1
            continue
        try:
            run(size)
        except RuntimeError as error:
            if not lacks_device_memory(error):
                raise
            _forget(error)
            size //= 2
        else:
            return size
    return None


def _step(trainer: pl.Trainer, parts: Parts, batch_size: int) -> None:
    """Forward and backward through a window of `batch_size` streams, with room for the optimizer's averages.

    Lightning has taken everything back to the CPU by now.
    """
    device, task, model = parts.hardware.device, parts.task, parts.model
    task.to(device)
    weights = list(model.parameters())
    room = [torch.empty_like(weight) for weight in weights for _ in range(task.optimizer_options.averages)]
    ids = torch.zeros(parts.data.options.seq_len, batch_size, dtype=torch.int64, device=device)
    try:
        with trainer.precision_plugin.forward_context():
            state = model.initial_state(batch_size)
            result = task.objective.loss(model, Batch(ids, ids, fresh=True), state)
        result.loss.backward()  # type: ignore[no-untyped-call]
    finally:
        room.clear()
        for weight in weights:
            weight.grad = None


@torch.no_grad()
def _score(trainer: pl.Trainer, parts: Parts, batch_size: int) -> None:
    """Forward through a window of `batch_size` streams, as a validation does."""
    device, model = parts.hardware.device, parts.model
    parts.task.to(device).eval()
    ids = torch.zeros(parts.data.options.seq_len, batch_size, dtype=torch.int64, device=device)
    with trainer.precision_plugin.forward_context():
        parts.task.objective.loss(model, Batch(ids, ids, fresh=True), model.initial_state(batch_size))


def _forget(error: BaseException) -> None:
    """Let go of what the failed step held: its frames hold its tensors."""
    seen: BaseException | None = error
    while seen is not None:
        traceback.clear_frames(seen.__traceback__)
        seen = seen.__context__
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
