"""`scheduler=plateau` in runs: the rate goes by the validations in training, in a killed run as in a whole one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import lstm_lm
from lstm_lm.data.streams import Batch
from lstm_lm.errors import UserError
from lstm_lm.runs import checkpoint_file, metrics_file
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.schedulers import Progress

Config = Callable[..., dict[str, Any]]

RATE = 20.0
PLATEAU = (
    *("scheduler=plateau", "scheduler.patience=2", "scheduler.min_delta=0.2", "scheduler.gamma=0.5"),
    *("optimizer=sgd", f"optimizer.lr={RATE}", "model.dropout=0.2"),
    *("trainer.val_check_interval=3", "trainer.max_steps=36", "callbacks.checkpoint.every_n_steps=4"),
)
"""Validations that are better by so much are few; some fall between checkpoints."""


class Killed(BaseException):
    """As if the process were gone: nothing that handles errors sees it."""


@contextmanager
def killed_in(where: str, step: int) -> Iterator[None]:
    """The first window after `step` optimizer steps, or the first of the validation there, is never finished."""
    method = {"training": "training_step", "validation": "validation_step"}[where]
    original = getattr(LanguageModelTask, method)

    def ended(task: LanguageModelTask, batch: Batch, batch_idx: int) -> Tensor | None:
        if task.global_step == step and not task.trainer.sanity_checking:
            raise Killed
        return original(task, batch, batch_idx)  # type: ignore[no-any-return]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LanguageModelTask, method, ended)
        yield


def figures(run: Path) -> list[tuple[float | None, ...]]:
    names = ("step", "train/loss", "val/loss", "train/learning_rate")
    return [tuple(row.get(name) for name in names) for row in metrics_file.read(run / "metrics.csv")]


def rates(run: Path) -> dict[int, float]:
    """By the step that was taken with it."""
    return {int(step): rate for step, _, _, rate in figures(run) if step is not None and rate is not None}


def validations(run: Path) -> dict[int, float]:
    return {int(step): loss for step, _, loss, _ in figures(run) if step is not None and loss is not None}


def last(run: Path) -> dict[str, Any]:
    return checkpoint_file.load(run / "checkpoints" / "last.ckpt")


@pytest.fixture
def config(small_config: Config) -> Config:
    return lambda *overrides: small_config(*PLATEAU, *overrides)


def test_each_step_has_the_rate_that_the_validations_before_it_leave(config: Config, tmp_path: Path) -> None:
    settings = config()
    lstm_lm.train(settings, tmp_path)
    options, progress = TrainConfig.parse(settings).scheduler, Progress()
    found, expected = validations(tmp_path), {}
    for step in range(1, 37):
        expected[step] = RATE * options.reduction(progress)
        if step in found:
            progress = options.after_validation(progress, found[step])
    assert rates(tmp_path) == pytest.approx(expected, rel=1e-12)
    assert progress.reductions >= 2, "else nothing has been tried"
    assert last(tmp_path)["lstm_lm"]["progress"]["reductions"] <= progress.reductions, "written before the last one"


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param([("training", 7)], id="between validations", marks=pytest.mark.matrix),
        pytest.param([("validation", 9), ("validation", 9), ("training", 22)], id="twice in the same validation"),
        pytest.param(
            [("training", 12), ("validation", 27), ("training", 35)], id="behind one", marks=pytest.mark.matrix
        ),
    ],
)
def test_a_run_that_is_killed_has_the_same_rates_to_the_bit(
    kills: list[tuple[str, int]], config: Config, tmp_path: Path
) -> None:
    """And what it remembers of validations: patience that was half used up stays so."""
    lstm_lm.train(config(), tmp_path / "whole")
    for where, step in kills:
        with killed_in(where, step), pytest.raises(Killed):
            lstm_lm.train(config("resume=auto"), tmp_path / "killed")
    lstm_lm.train(config("resume=auto"), tmp_path / "killed")
    assert figures(tmp_path / "killed") == figures(tmp_path / "whole")
    whole, killed = last(tmp_path / "whole"), last(tmp_path / "killed")
    assert killed["lstm_lm"]["progress"] == whole["lstm_lm"]["progress"]
    assert killed["lr_schedulers"] == whole["lr_schedulers"]


def test_patience_is_counted_through_a_stop(config: Config, tmp_path: Path) -> None:
    """A checkpoint between the two validations of a plateau: the first of them counts in the resumed run."""
    endless = ("scheduler.min_delta=100", "trainer.max_epochs=-1")  # every validation but the first is no better
    lstm_lm.train(config(*endless, "trainer.max_steps=8"), tmp_path)
    assert last(tmp_path)["lstm_lm"]["progress"] == {
        "best": pytest.approx(validations(tmp_path)[3]),
        "waited": 1,
        "reductions": 0,
    }
    lstm_lm.train(config(*endless, "trainer.max_steps=10", "resume=auto"), tmp_path)
    assert list(rates(tmp_path).values()) == [RATE] * 9 + [RATE / 2]


def test_sanity_checks_and_the_validation_after_training_do_not_count(config: Config, tmp_path: Path) -> None:
    none = ("scheduler.min_delta=100", "scheduler.patience=1", "trainer.num_sanity_val_steps=2")
    lstm_lm.train(config(*none, "trainer.max_steps=5"), tmp_path)
    assert sorted(validations(tmp_path)) == [3, 5]
    assert last(tmp_path)["lstm_lm"]["progress"]["waited"] == 0
    assert last(tmp_path)["lstm_lm"]["progress"]["reductions"] == 0


def test_another_number_of_scored_windows_begins_a_new_comparison(config: Config, tmp_path: Path) -> None:
    lstm_lm.train(config("trainer.max_steps=17"), tmp_path)
    before = last(tmp_path)["lstm_lm"]["progress"]
    more = ("trainer.limit_val_batches=2", "trainer.max_steps=20", "resume=auto")
    lstm_lm.train(config(*more), tmp_path)
    after = last(tmp_path)["lstm_lm"]["progress"]
    assert after["best"] == validations(tmp_path)[18] != before["best"]
    assert after["reductions"] == before["reductions"]


def test_a_run_may_leave_it_and_come_back(config: Config, small_config: Config, tmp_path: Path) -> None:
    """With resume=force, as between other schedules: what validations have reduced is this one's own."""
    often = ("scheduler.min_delta=100", "scheduler.patience=1")
    lstm_lm.train(config(*often, "trainer.max_steps=8"), tmp_path)
    others = [override for override in PLATEAU if not override.startswith("scheduler")]
    constant = ("scheduler=constant", "trainer.max_steps=11", "resume=force")
    lstm_lm.train(small_config(*others, *constant), tmp_path)
    lstm_lm.train(config(*often, "trainer.max_steps=14", "resume=force"), tmp_path)
    found = rates(tmp_path)
    assert [found[step] / RATE for step in (8, 11, 14)] == [0.5, 1.0, 0.25]


def test_a_memory_that_cannot_be_is_refused(config: Config, tmp_path: Path) -> None:
    lstm_lm.train(config("trainer.max_steps=5"), tmp_path)
    file = tmp_path / "checkpoints" / "last.ckpt"
    whole = checkpoint_file.load(file)
    for forged in (
        *({"best": "2"}, {"best": float("inf")}, {"waited": -1}, {"waited": 0.5}, {"waited": None}),
        {"reductions": 2**60},
    ):
        section = whole["lstm_lm"] | {"progress": whole["lstm_lm"]["progress"] | forged}
        checkpoint_file.save(whole | {"lstm_lm": section}, file)
        with pytest.raises(UserError, match=f"progress.{next(iter(forged))}") as caught:
            lstm_lm.train(config("trainer.max_steps=7", "resume=auto"), tmp_path)
        assert len(str(caught.value).splitlines()) <= 4
