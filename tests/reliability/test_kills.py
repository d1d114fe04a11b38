"""Whenever a run is killed, what follows is what would have followed."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kills import EVERY_DROPOUT, ON_A_KERNEL, TRANSFORMER, Kill, Report, compare, plan

pytestmark = pytest.mark.linux

Config = Callable[..., dict[str, Any]]
Keep = Callable[..., None]

STEPS = 60
VALIDATED_EVERY = 15
SETTINGS = (
    "resume=auto",
    f"trainer.max_steps={STEPS}",
    "trainer.max_epochs=-1",
    f"trainer.val_check_interval={VALIDATED_EVERY}",
    "trainer.check_val_every_n_epoch=null",
    "callbacks.checkpoint.every_n_steps=4",
    "callbacks.samples.length=0",
)
MODELS = {"lstm": EVERY_DROPOUT, "fused": ON_A_KERNEL, "transformer": TRANSFORMER}


def check(config: dict[str, Any], folder: Path, kills: list[Kill], steps: int = STEPS) -> Report:
    report = compare(config, folder, kills)
    assert len(report.places) == len(kills)
    assert {"in a checkpoint write", "in a validation"} <= set(report.places)
    assert len(report.resumed_from) >= sum(kill.moment != "start" for kill in kills)
    assert all(step > 0 for step in report.resumed_from)
    assert report.partial_files >= sum(kill.moment == "write" for kill in kills)
    assert report.rows >= steps
    assert report.differing_rows == 0
    assert report.points > 4 * steps, "four curves of training, and those of validation"
    assert report.differing_points == 0
    assert report.largest_weight_difference == 0.0
    return report


def test_a_run_that_is_killed_ends_as_if_it_had_not_been(small_config: Config, tmp_path: Path) -> None:
    check(small_config(*SETTINGS, *MODELS["lstm"]), tmp_path, [Kill("write", 16), Kill("validation", 30)])


@pytest.mark.matrix
@pytest.mark.parametrize("model", ["lstm", "transformer"])
def test_wherever_it_is_killed(model: str, small_config: Config, tmp_path: Path) -> None:
    kills = [Kill("step", 7), Kill("write", 16), Kill("start", 0), Kill("validation", 30), Kill("step", 45)]
    check(small_config(*SETTINGS, *MODELS[model]), tmp_path, kills)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_a_run_that_is_killed_at_twenty_random_moments(
    model: str, small_config: Config, tmp_path: Path, keep: Keep
) -> None:
    config = small_config(*SETTINGS, *MODELS[model], "trainer.max_steps=150")
    kills = plan(20, 150, VALIDATED_EVERY, seed=20)
    report = check(config, tmp_path, kills, steps=150)
    keep(
        f"kills_{model}",
        sent=len(kills),
        places=Counter(report.places),
        resumed_from=report.resumed_from,
        partial_files=report.partial_files,
        rows=report.rows,
        differing_rows=report.differing_rows,
        points=report.points,
        differing_points=report.differing_points,
        largest_weight_difference=report.largest_weight_difference,
    )
