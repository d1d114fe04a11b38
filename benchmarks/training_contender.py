"""One contender of training.py, in a process of its own: it takes steps when it is told to, and sleeps otherwise.

The allocator's setting belongs to a whole process and cannot be undone, so contenders cannot share one.

A line `LEAD STEPS` on standard input asks for LEAD (1 or more) steps that are not timed and STEPS that are; the answer
is a line of JSON: seconds of these, and their mean loss. The end of the input ends the process.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import IO, Any

import today
import torch
from bare_loop import training_steps
from torch import Tensor

import lstm_lm
from lstm_lm.data.streams import Batch
from lstm_lm.errors import UserError
from lstm_lm.synchronize import synchronize
from lstm_lm.training.build import build
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.plan import Plan
from lstm_lm.training.runtime.settings import runtime_settings


class Foreman:
    """Hears what is asked for, and answers with what it took."""

    def __init__(self, commands: IO[str], answers: IO[str], device: torch.device) -> None:
        self._commands, self._answers, self._device = commands, answers, device
        self._lead = self._steps = 0
        self._began = 0.0
        self._losses: list[Tensor] = []

    def answer(self, **what: Any) -> None:
        """Say something."""
        self._answers.write(json.dumps(what) + "\n")
        self._answers.flush()

    def before_step(self, last_loss: Tensor | None) -> None:
        """Every contender calls this between its steps; it comes back when the next one is to be taken."""
        if self._steps and not self._lead:
            assert last_loss is not None
            if self._began:
                self._losses.append(last_loss)
                self._steps -= 1
            else:
                synchronize(self._device)
                self._began = time.perf_counter()
            if not self._steps:
                synchronize(self._device)
                seconds = time.perf_counter() - self._began
                self.answer(seconds=seconds, loss=float(torch.stack(self._losses).mean()))
        if not self._steps and not self._lead:
            self._began, self._losses = 0.0, []
            command = self._commands.readline()
            if not command:
                os._exit(0)  # in the middle of a training that has nothing to finish
            self._lead, self._steps = map(int, command.split())
        if self._lead:
            self._lead -= 1


def main() -> None:
    order = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else is printed must not be taken for an answer
    foreman = Foreman(sys.stdin, answers, torch.device(order["device"]))
    try:
        CONTENDERS[order["way"]](lstm_lm.compose(*order["overrides"]), foreman)
    except UserError as error:
        foreman.answer(refused=" ".join(str(error).split()))


def run_today(config: dict[str, Any], foreman: Foreman) -> None:
    """Nothing of the project but its windows, laid out beforehand."""
    checked = TrainConfig.parse(config)
    parts = build(Plan.new(checked))
    device, model, data = parts.hardware.device, config["model"], config["data"]
    loader = parts.data.train_dataloader()
    epochs = []
    for _ in range(2):
        windows: list[Batch] = list(loader)
        epochs.append(
            (
                torch.cat([window.inputs for window in windows]).to(device),
                torch.cat([window.targets for window in windows]).to(device),
            )
        )
    network = today.Model(
        parts.data.tokenizer.vocabulary_size, model["embedding_size"], model["hidden_size"], model["num_layers"]
    )
    steps = today.training_steps(
        network.to(device),
        epochs,
        data["seq_len"],
        config["optimizer"]["lr"],
        config["trainer"]["gradient_clip_val"],
    )
    foreman.answer(precision="float32", forward="nn.LSTM", compile="none")
    _work(steps, foreman)


def run_ours(config: dict[str, Any], foreman: Foreman) -> None:
    """A whole step of the project's, in a bare loop."""
    checked = TrainConfig.parse(config)
    with runtime_settings(checked.runtime):
        parts = build(Plan.new(checked))
        foreman.answer(**_described(checked, parts.hardware.precision, parts.choice.name))
        _work(training_steps(checked, parts), foreman)


def run_application(config: dict[str, Any], foreman: Foreman) -> None:
    """`python train.py`, Lightning and all; a step lasts from its window's arrival to the next window's."""
    checked = TrainConfig.parse(config)
    parts = build(Plan.new(checked))
    foreman.answer(**_described(checked, parts.hardware.precision, parts.choice.name))
    parts.model.close()
    del parts
    training_step = LanguageModelTask.training_step

    def gated(task: LanguageModelTask, batch: Batch, batch_idx: int) -> Tensor:
        foreman.before_step(task.train_loss)
        return training_step(task, batch, batch_idx)

    LanguageModelTask.training_step = gated  # type: ignore[method-assign, assignment]
    with tempfile.TemporaryDirectory() as folder:
        lstm_lm.train(config, folder + "/run")
    raise AssertionError("training ended before it was told to: too few steps were planned")


def _work(steps: Iterator[Tensor], foreman: Foreman) -> None:
    loss: Tensor | None = None
    while True:
        foreman.before_step(loss)
        loss = next(steps)


def _described(config: TrainConfig, precision: str, forward: str) -> dict[str, str]:
    compiled = config.compile.mode if config.compile.enabled else "none"
    return {"precision": precision, "forward": forward, "compile": compiled}


CONTENDERS: dict[str, Callable[[dict[str, Any], Foreman], None]] = {
    "today": run_today,
    "ours": run_ours,
    "application": run_application,
}


if __name__ == "__main__":
    main()
