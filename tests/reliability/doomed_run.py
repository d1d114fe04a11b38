"""A process that trains and kills itself, with SIGKILL, at a moment that is named by the run's own steps.

`python doomed_run.py ORDER`, where ORDER is JSON: `config`, `run_dir`, `log`, `moment` ("step", "write", "validation",
"start", or "never") and `step`. It notes in `log`, before it dies, where it stood: one JSON object a line.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from lstm_lm.training.callbacks.checkpoints import Checkpoints
from lstm_lm.training.session import Session

import lstm_lm
from lstm_lm.runs import checkpoint_file
from lstm_lm.training.module import LanguageModelTask


def main(order: dict[str, Any]) -> None:
    log, moment, at = Path(order["log"]), order["moment"], order["step"]
    now: dict[str, int] = {"step": 0}

    def note(what: str, **more: Any) -> None:
        with log.open("a") as file:
            file.write(json.dumps({"what": what, "step": now["step"], **more}) + "\n")

    def die(where: str) -> None:
        note("killed", where=where)
        os.kill(os.getpid(), signal.SIGKILL)

    began = Checkpoints.on_train_start

    def on_train_start(self: Checkpoints, trainer: Any, module: Any) -> None:
        began(self, trainer, module)
        now["step"] = trainer.global_step
        note("began")

    trained = LanguageModelTask.training_step

    def training_step(self: LanguageModelTask, *arguments: Any) -> Any:
        now["step"] = self.global_step
        result = trained(self, *arguments)
        if moment == "step" and self.global_step >= at:
            die("between forward and backward")
        return result

    validated = LanguageModelTask.validation_step

    def validation_step(self: LanguageModelTask, batch: Any, batch_idx: int) -> None:
        validated(self, batch, batch_idx)
        if moment == "validation" and self.global_step >= at and batch_idx == 1:
            now["step"] = self.global_step
            die("in a validation")

    sealed = checkpoint_file._seal

    def seal(file: Any) -> None:
        if moment == "write" and now["step"] >= at:
            file.seek(0, os.SEEK_END)
            file.truncate(file.tell() // 2)  # what a slower disk would have of it by now
            file.flush()
            die("in a checkpoint write")
        sealed(file)

    described = Session._describe

    def describe(self: Session, parts: Any) -> None:
        described(self, parts)
        if moment == "start":
            die("at start-up")

    Checkpoints.on_train_start = on_train_start  # type: ignore[method-assign]
    LanguageModelTask.training_step = training_step  # type: ignore[method-assign]
    LanguageModelTask.validation_step = validation_step  # type: ignore[method-assign]
    checkpoint_file._seal = seal
    Session._describe = describe  # type: ignore[method-assign]
    lstm_lm.train(order["config"], order["run_dir"])
    note("ended")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
