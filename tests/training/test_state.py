"""What a checkpoint holds of a run beside weights, optimizer and Lightning's counters, all in one place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_flatten

import lstm_lm
from lstm_lm.runs import checkpoint_file
from lstm_lm.training.build import Parts, build
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.plan import Plan

Config = Callable[..., dict[str, Any]]

CPU = torch.device("cpu")
OF_EACH_PROCESS = {
    "hidden": "hidden state that the last window has left",
    "generators": "of dropout's masks, and PyTorch's",
}
OF_THE_RUN = {
    "other_processes": "the same of ranks 1, 2, ...",
    "averaging": "the average of the weights",
    "seconds": "in training",
    "validation": "the last one",
    "validation_due": "whether one was to follow",
    "progress": "what the schedule remembers of validations",
}
PROVENANCE = {"schema_version", "config", "tokenizer", "data", "code", "tuning", "resolved"} | {
    "training_units",
    "added_tokens",
}
OF_THE_MOMENT = {"within_a_step", "row"}
"""Whether gradients are half summed; the newest row of metrics.csv."""


def fresh(config: dict[str, Any]) -> Parts:
    return build(Plan.new(TrainConfig.parse(config)))


def test_this_is_all_that_it_holds(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=2"), tmp_path / "run")
    section = checkpoint_file.load(tmp_path / "run" / "checkpoints" / "last.ckpt")["lstm_lm"]
    assert set(section) == {*OF_EACH_PROCESS, *OF_THE_RUN} | PROVENANCE | OF_THE_MOMENT
    assert set(fresh(small_config()).task.state.state_dict(CPU)) == {*OF_EACH_PROCESS, *OF_THE_RUN}


def test_what_is_put_back_is_what_was_saved(small_config: Config, tmp_path: Path) -> None:
    """Every value of it, into a run that has been nowhere yet."""
    config = small_config("trainer.max_steps=7", "model.dropout=0.2", "averaging=ema", "averaging.start_step=2")
    lstm_lm.train(config, tmp_path / "run")
    section = checkpoint_file.load(tmp_path / "run" / "checkpoints" / "best.ckpt")["lstm_lm"]
    saved = {name: section[name] for name in sorted({*OF_EACH_PROCESS, *OF_THE_RUN})}
    state = fresh(config).task.state
    before = state.state_dict(CPU)
    for name in ("hidden", "generators", "averaging"):
        assert str(before[name]) != str(saved[name]), "else nothing would be put back"
    state.load_state_dict(saved, CPU)
    state.start_clock()
    again = dict(sorted(state.state_dict(CPU).items()))
    assert again.pop("seconds") >= saved.pop("seconds")
    given, found = tree_flatten(saved), tree_flatten(again)
    assert given[1] == found[1]
    for one, other in zip(given[0], found[0], strict=True):
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
