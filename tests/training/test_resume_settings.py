"""Whatever setting of Lightning's decides which windows are seen, a run that is killed and continued sees the same."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from tiers import first, smallest
from torch import Tensor

import lstm_lm
from lstm_lm.data.streams import Batch
from lstm_lm.errors import UserError
from lstm_lm.runs import checkpoint_file
from lstm_lm.training.module import LanguageModelTask

Config = Callable[..., dict[str, Any]]

EVERY_STEP = ("callbacks.checkpoint.every_n_steps=1", "resume=auto", "scheduler=constant", "model.dropout=0.2")
SETTINGS = {
    "all of them": ("trainer.max_epochs=2",),
    "limit, a number": ("trainer.limit_train_batches=7", "trainer.max_epochs=3"),
    "limit, a share": ("trainer.limit_train_batches=0.15", "trainer.max_epochs=3"),
    "overfit, a number": ("trainer.overfit_batches=5", "trainer.max_epochs=4"),
    "overfit, a share": ("trainer.overfit_batches=0.1", "trainer.max_epochs=4"),
    "documents in several windows": ("data.unit=document", "data.separator=.", "trainer.max_epochs=2"),
    "overfit lines": ("trainer.overfit_batches=5", "trainer.max_epochs=4", "data.unit=line"),
    "validation within epochs": ("trainer.val_check_interval=4", "trainer.max_steps=18"),
    "validation by a share": ("trainer.val_check_interval=0.2", "trainer.limit_train_batches=10"),
    "validation across epochs": (
        *("trainer.val_check_interval=4", "trainer.check_val_every_n_epoch=null"),
        *("trainer.limit_train_batches=6", "trainer.max_epochs=3"),
    ),
    "validation every second epoch": (
        *("trainer.check_val_every_n_epoch=2", "trainer.limit_train_batches=5", "trainer.max_epochs=4"),
    ),
    "accumulation past an epoch's end": (
        *("trainer.accumulate_grad_batches=4", "trainer.limit_train_batches=6", "trainer.max_epochs=3"),
    ),
}
PRECISIONS = ("32-true", "64-true", "bf16-true", "bf16-mixed")


class Killed(BaseException):
    """As if the process were gone: nothing that handles errors sees it."""


class Watch:
    """Digests of the windows that each optimizer step was taken on; one that is taken again replaces the first try."""

    def __init__(self) -> None:
        self.steps: dict[int, list[str]] = {}

    @contextmanager
    def train(self, killed_at: int | None = None) -> Iterator[None]:
        """Look on; the window with that number (from 0 on, of this process) is never finished."""
        training_step, windows = LanguageModelTask.training_step, iter(range(2**31))

        def step(task: LanguageModelTask, batch: Batch, batch_idx: int) -> Tensor:
            if next(windows) == killed_at:
                raise Killed
            seen = batch.inputs.numpy().tobytes() + batch.targets.numpy().tobytes() + bytes([batch.fresh])
            if batch_idx % task.trainer.accumulate_grad_batches == 0:
                self.steps[task.global_step] = []
            self.steps[task.global_step].append(hashlib.sha256(seen).hexdigest())
            return training_step(task, batch, batch_idx)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LanguageModelTask, "training_step", step)
            yield

    @property
    def windows(self) -> list[str]:
        return [window for _, windows in sorted(self.steps.items()) for window in windows]


def final(run: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = checkpoint_file.load(run / "checkpoints" / "last.ckpt")["state_dict"]
    return state


@pytest.mark.parametrize(
    "setting", smallest(SETTINGS, "overfit, a share", "validation across epochs", "documents in several windows")
)
def test_the_same_windows_and_weights_to_the_bit(setting: str, small_config: Config, tmp_path: Path) -> None:
    config = small_config(*EVERY_STEP, *SETTINGS[setting])
    whole, parts = Watch(), Watch()
    with whole.train():
        lstm_lm.train(config, tmp_path / "whole")
    third = len(whole.windows) // 3  # where there are three epochs, behind the last window of the first and the second
    for killed_at in (third, third, 2, None):
        with parts.train(killed_at), nullcontext() if killed_at is None else pytest.raises(Killed):
            lstm_lm.train(config, tmp_path / "killed")
    assert parts.steps == whole.steps
    for name, tensor in final(tmp_path / "whole").items():
        assert torch.equal(final(tmp_path / "killed")[name], tensor), name


@pytest.mark.parametrize("precision", smallest(PRECISIONS, "bf16-mixed"))
@pytest.mark.parametrize("averaging", first(["ema", "none"]))
def test_weights_keep_all_their_digits(precision: str, averaging: str, small_config: Config, tmp_path: Path) -> None:
    config = small_config(*EVERY_STEP, "trainer.max_steps=9", f"precision={precision}", f"averaging={averaging}")
    whole = lstm_lm.train(config, tmp_path / "whole")
    with Watch().train(killed_at=5), pytest.raises(Killed):
        lstm_lm.train(config, tmp_path / "killed")
    killed = lstm_lm.train(config, tmp_path / "killed")
    for name, tensor in final(tmp_path / "whole").items():
        assert torch.equal(final(tmp_path / "killed")[name], tensor), name
    assert killed.train.loss == whole.train.loss
    assert killed.val == whole.val


def test_the_few_windows_are_the_first_of_the_text_as_the_seed_turns_it(small_config: Config, tmp_path: Path) -> None:
    """Carried out once: a tenth of 43 windows is four, the same in each epoch, and the schedule knows of them."""
    every, few = Watch(), Watch()
    with every.train():
        lstm_lm.train(small_config("trainer.max_epochs=1"), tmp_path / "all")
    with few.train():
        summary = lstm_lm.train(small_config("trainer.overfit_batches=0.1", "trainer.max_epochs=3"), tmp_path / "few")
    tenth = len(every.windows) // 10
    assert tenth >= 2
    assert few.windows == every.windows[:tenth] * 3
    assert summary.train.steps == tenth * 3
    assert summary.train.epochs == 3


def test_less_than_one_window_is_refused(small_config: Config, tmp_path: Path) -> None:
    for key in ("limit_train_batches", "overfit_batches"):
        with pytest.raises(UserError, match=rf"trainer\.{key}=0\.001: less than one of the 4\d windows"):
            lstm_lm.train(small_config(f"trainer.{key}=0.001"), tmp_path / "run")
        assert not (tmp_path / "run").exists()
