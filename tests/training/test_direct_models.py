"""Models without recurrent layers are trained, stopped, continued, compiled and read like all others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.runs import checkpoint_file
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training.config import TrainConfig

Config = Callable[..., dict[str, Any]]

each = pytest.mark.parametrize("name", ["transformer", "ffn"])


def typed(name: str, steps: int) -> tuple[str, ...]:
    """Windows of 16 tokens, a context of 12: the state of the window before counts."""
    model = (f"model={name}", "model.context_size=12", "model.dropout=0.2")
    return (*model, "trainer.max_epochs=2", f"trainer.max_steps={steps}", "scheduler=constant", "optimizer.lr=0.003")


def weights(run: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = checkpoint_file.load(RunDirectory(run).last)["state_dict"]
    return found


@each
def test_a_stopped_run_continues_bit_for_bit_and_writes(name: str, small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config(*typed(name, 12)), tmp_path / "whole")
    lstm_lm.train(small_config(*typed(name, 5)), tmp_path / "parts")
    summary = lstm_lm.train(small_config(*typed(name, 12), "resume=auto"), tmp_path / "parts")
    assert (summary.train.steps, summary.runtime.forward) == (12, "direct")
    whole = weights(tmp_path / "whole")
    for key, tensor in weights(tmp_path / "parts").items():
        assert torch.equal(tensor, whole[key]), key
    written = {
        lstm_lm.generate(tmp_path / run, prompt="the cat", max_new_tokens=40, seed=1) for run in ("whole", "parts")
    }
    assert len(written) == 1
    assert len(written.pop()) == len("the cat") + 40
    with pytest.raises(UserError, match="forward=fused"):
        lstm_lm.load(tmp_path / "whole", forward="fused")


@each
def test_another_text_starts_from_its_weights(name: str, small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config(*typed(name, 2)), tmp_path / "run")
    config = small_config(*typed(name, 1)) | {"init_from": str(tmp_path / "run")}
    assert lstm_lm.train(config, tmp_path / "tuned").status == "completed"


@each
def test_a_forward_strategy_is_refused_before_data_is_read(name: str, small_config: Config) -> None:
    with pytest.raises(UserError, match="forward=pipelined: runs stacks of recurrent layers") as caught:
        TrainConfig.parse(small_config(f"model={name}", "forward=pipelined"))
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.matrix
@each
def test_compiled_it_takes_the_same_steps_in_few_graphs(name: str, small_config: Config, tmp_path: Path) -> None:
    """43 windows are an epoch, the last one shorter: it must not compile again."""
    every = (*typed(name, 46), "model.num_layers=2", "trainer.limit_val_batches=0", "callbacks.samples.length=0")
    plain = lstm_lm.train(small_config(*every), tmp_path / "plain")
    compiled = lstm_lm.train(small_config(*every, "compile=default"), tmp_path / "compiled")
    assert compiled.train.loss == pytest.approx(plain.train.loss, abs=1e-3)
    assert compiled.runtime.graph_breaks == 0
    assert compiled.runtime.compile_graphs is not None
    assert 3 <= compiled.runtime.compile_graphs <= 6
