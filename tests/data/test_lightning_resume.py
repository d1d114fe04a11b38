"""Lightning, stopped at any step and resumed, hands the module the same windows as a run that was never stopped."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch

from lstm_lm.data.module import TextDataModule
from lstm_lm.data.streams import Batch

CHARACTERS = "".join(map(chr, range(0x100, 0x100 + 97)))  # 97 different ones
STEPS_PER_EPOCH = 5  # 97 tokens in 2 streams of 48, windows of 10

Seen = dict[int, tuple[int, ...]]


class Recorder(pl.LightningModule):
    """Learns nothing; remembers what it was given."""

    def __init__(self, asks_for_steps: bool) -> None:
        super().__init__()
        self.asks_for_steps = asks_for_steps
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))  # in the checkpoint too
        self.seen: Seen = {}

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        assert isinstance(batch, Batch)
        self.seen[int(self.count)] = content(batch)
        self.count += 1
        return self.weight * 0.0

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        assert isinstance(batch, Batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        if self.asks_for_steps:  # makes Lightning forget to restore the loader
            assert self.trainer.estimated_stepping_batches > 0
        return torch.optim.SGD(self.parameters(), lr=0.1)


def content(batch: Batch) -> tuple[int, ...]:
    return (*batch.inputs.flatten().tolist(), *batch.targets.flatten().tolist(), batch.fresh)


class SaveAlways(pl.Callback):
    """Writes a checkpoint at each moment at which Lightning's own ModelCheckpoint may write one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _save(self, trainer: pl.Trainer, moment: str) -> None:
        trainer.save_checkpoint(self.folder / f"{moment}-{int(trainer.lightning_module.count)}.ckpt")

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        self._save(trainer, "batch")

    def on_validation_end(self, trainer: pl.Trainer, *_: object) -> None:
        self._save(trainer, "validation")

    def on_train_epoch_end(self, trainer: pl.Trainer, *_: object) -> None:
        self._save(trainer, "epoch")


@pytest.fixture
def text(tmp_path: Path, section: Callable) -> Callable[[], TextDataModule]:
    (tmp_path / "train.txt").write_text(CHARACTERS, "utf-8")
    (tmp_path / "validate.txt").write_text(CHARACTERS[:50], "utf-8")
    paths = {"path": str(tmp_path / "train.txt"), "validation_path": str(tmp_path / "validate.txt")}
    data = section("text", **paths, batch_size=2, seq_len=10, eval_batch_size=2, eval_context=4)
    return lambda: TextDataModule(data, {"name": "char"}, seed=7)


def run(
    text: TextDataModule,
    limits: dict[str, int],
    *,
    save_in: Path | None = None,
    resume_from: Path | None = None,
    asks_for_steps: bool = False,
) -> Seen:
    """Train; what the module was given, window by window."""
    module = Recorder(asks_for_steps)
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[SaveAlways(save_in)] if save_in else [],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **limits,
    )
    trainer.fit(module, datamodule=text, ckpt_path=str(resume_from) if resume_from else None, weights_only=True)
    return module.seen


def endlessly(text: TextDataModule) -> Iterator[Batch]:
    text.prepare()
    windows = text.train_dataloader()
    while True:
        yield from windows


@pytest.mark.parametrize(
    "limits",
    [
        {"max_epochs": 3},
        {"max_steps": 13, "max_epochs": -1},
        {"max_epochs": 3, "limit_train_batches": 3},
        {"max_steps": 8, "max_epochs": -1, "limit_train_batches": 3},
        {"max_steps": 13, "max_epochs": -1, "val_check_interval": 2},
        {"max_epochs": 3, "accumulate_grad_batches": 2},
    ],
    ids=["epochs", "steps", "cut epochs", "steps in cut epochs", "validation within epochs", "accumulation"],
)
def test_a_run_resumed_at_any_moment_goes_on_as_if_nothing_had_happened(tmp_path, text, limits):
    whole = run(text(), limits, save_in=tmp_path)
    assert list(whole.values()) == [content(batch) for batch in islice(endlessly(text()), len(whole))]
    checkpoints = sorted(tmp_path.glob("*.ckpt"))
    assert len(checkpoints) >= len(whole) + 4  # after each step, each validation, each epoch
    for checkpoint in checkpoints:
        taken = int(checkpoint.stem.split("-")[1])
        resumed = run(text(), limits, resume_from=checkpoint)
        assert resumed == {window: whole[window] for window in range(taken, len(whole))}, checkpoint.stem


def test_a_run_resumed_from_a_resumed_run_goes_on_right(tmp_path, text):
    limits = {"max_steps": 18, "max_epochs": -1}
    whole = run(text(), limits, save_in=tmp_path)
    once = run(text(), limits, save_in=tmp_path / "once", resume_from=tmp_path / "epoch-5.ckpt")
    assert once == {window: whole[window] for window in range(5, 18)}
    for checkpoint in sorted((tmp_path / "once").glob("*.ckpt")):
        taken = int(checkpoint.stem.split("-")[1])
        twice = run(text(), limits, resume_from=checkpoint)
        assert twice == {window: whole[window] for window in range(taken, 18)}, checkpoint.stem


def test_a_module_that_asks_lightning_for_the_number_of_steps_loses_nothing(tmp_path, text):
    whole = run(text(), {"max_epochs": 3}, save_in=tmp_path, asks_for_steps=True)
    resumed = run(text(), {"max_epochs": 3}, resume_from=tmp_path / "batch-7.ckpt", asks_for_steps=True)
    assert resumed == {window: whole[window] for window in range(7, len(whole))}
