"""A run is judged at its end, by all of its curve, and what is proposed can be typed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lstm_lm
from lstm_lm.runs import summary
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.results import Results

Config = Callable[..., dict[str, Any]]


def test_a_resumed_run_is_judged_by_the_curve_of_all_its_processes(small_config: Config, tmp_path: Path) -> None:
    limits = ("trainer.max_epochs=-1", "trainer.val_check_interval=0.25")
    before = lstm_lm.train(small_config(*limits, "trainer.max_steps=20"), tmp_path / "run")
    after = lstm_lm.train(small_config(*limits, "trainer.max_steps=40", "resume=auto"), tmp_path / "run")
    assert before.judgement is not None
    assert after.judgement is not None
    assert after.judgement.validations > before.judgement.validations > 0
    assert after.judgement.loss == after.judgement.loss
    assert summary.read(tmp_path / "run" / "summary.json").judgement == after.judgement


@pytest.mark.parametrize("settings", [(), ("trainer.limit_val_batches=0",), ("trainer.fast_dev_run=true",)])
def test_what_is_proposed_is_a_configuration(settings: tuple[str, ...], small_config: Config, tmp_path: Path) -> None:
    found = lstm_lm.train(small_config(*settings), tmp_path / "run").judgement
    assert found is not None
    assert found.kind == "short"
    for line in (found.advice or "").split(", or "):
        TrainConfig.parse(small_config(*settings, *line.split()))


def test_a_worker_judges_nothing(monkeypatch: pytest.MonkeyPatch, small_config: Config, tmp_path: Path) -> None:
    """It has no metrics.csv of its own, and rank 0's is being written."""
    ranks: list[int] = []
    judged = Results.judge

    def as_a_worker(self: Results) -> None:
        ranks.append(self.parts.team.rank)
        with monkeypatch.context() as here:
            here.setattr(self.parts.team, "rank", 1)
            judged(self)

    monkeypatch.setattr(Results, "judge", as_a_worker)
    assert lstm_lm.train(small_config(), tmp_path / "run").judgement is None
    assert ranks == [0]
