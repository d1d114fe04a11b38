"""A process that does one thing and tells what it took, as JSON: `python measured_process.py ORDER`.

ORDER is JSON: `config` (a whole configuration), `do` ("encode" or "train") and `run_dir`. Anonymous memory is what the
process has to itself and no file backs (RssAnon of /proc/self/status): a memory-mapped text does not count.
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import lstm_lm
from lstm_lm.data.module import TextDataModule
from lstm_lm.training.observers.clock import StepClock

SECONDS_BETWEEN_LOOKS = 0.05


def anonymous_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("this system does not tell anonymous memory")


class Peak:
    """The most anonymous memory while a context lasts."""

    def __enter__(self) -> "Peak":
        self.bytes = anonymous_bytes()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_LOOKS):
            self.bytes = max(self.bytes, anonymous_bytes())


def encode(config: dict[str, Any]) -> dict[str, Any]:
    before = anonymous_bytes()
    began = time.perf_counter()
    with Peak() as peak:
        data = TextDataModule(config["data"], config["tokenizer"], config["seed"])
        data.prepare()
    return {
        "imports_bytes": before,
        "more_bytes": peak.bytes - before,
        "seconds": time.perf_counter() - began,
        "tokens": sum(split.tokens for split in data.manifest.splits.values()),
    }


def train(config: dict[str, Any], run_dir: str) -> dict[str, Any]:
    """Anonymous memory at every tenth of the run, and when the first step was done."""
    began = time.perf_counter()
    seen: list[int] = []
    first: list[float] = []
    every = config["trainer"]["max_steps"] // 10
    told = StepClock.on_train_batch_end

    def look(self: StepClock, trainer: Any, *more: Any) -> None:
        told(self, trainer, *more)
        if not first:
            first.append(time.perf_counter() - began)
        if trainer.global_step % every == 0:
            seen.append(anonymous_bytes())

    StepClock.on_train_batch_end = look  # type: ignore[method-assign]
    lstm_lm.train(config, run_dir)
    return {"anonymous_bytes": seen, "seconds_to_first_step": first[0]}


if __name__ == "__main__":
    order = json.loads(sys.argv[1])
    result = encode(order["config"]) if order["do"] == "encode" else train(order["config"], order["run_dir"])
    print(json.dumps(result))
