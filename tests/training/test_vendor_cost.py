"""A setting that keeps a model off the vendor's kernel is named before the first step, with what such layers cost."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

import lstm_lm

Config = Callable[..., dict[str, Any]]
OFF_THE_KERNEL = ("model.activation=relu", "model.layer_norm=true", "model.recurrent_dropout=0.2")


def test_one_warning_names_every_such_setting_and_their_cost(small_config: Config, tmp_path: Path) -> None:
    shown = io.StringIO()
    config = small_config(*OFF_THE_KERNEL, "trainer.max_steps=1")
    summary = lstm_lm.train(config, tmp_path / "run", console=Console(file=shown, width=300))
    assert summary.runtime.warnings is not None
    (warning,) = summary.runtime.warnings
    for setting in ("activation=relu", "layer_norm=true", "recurrent_dropout=0.2", "times as long"):
        assert setting in warning
    assert shown.getvalue().count(f"warning: {warning}") == 1


def test_a_model_on_the_vendors_kernel_gets_no_warning(small_config: Config, tmp_path: Path) -> None:
    assert lstm_lm.train(small_config("trainer.max_steps=1"), tmp_path / "run").runtime.warnings == []


def test_a_model_without_recurrent_layers_gets_no_warning(small_config: Config, tmp_path: Path) -> None:
    config = small_config("model=ffn", "model.embedding_size=8", "trainer.max_steps=1")
    assert lstm_lm.train(config, tmp_path / "run").runtime.warnings == []
