"""Where the line that moves is drawn, and where what stays is printed."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lstm_lm
from lstm_lm.terminal import LOGGED, Terminal

Config = Callable[..., dict[str, Any]]


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("logged", [True, False])
def test_what_moves_goes_to_standard_error_where_standard_output_is_a_log(
    logged: bool, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log holds what stays. Without LOGGED, what moves goes nowhere: standard output is no terminal."""
    screen, log = Screen(), io.StringIO()
    monkeypatch.setenv("TERM", "xterm")
    if logged:
        monkeypatch.setenv(LOGGED, "1")
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", log)
    config = small_config(
        "trainer.max_steps=4", "trainer.val_check_interval=2", "callbacks.progress.refresh_seconds=1e-9"
    )
    lstm_lm.train(config, tmp_path / "run", console=Terminal())
    moves, stays = screen.getvalue(), log.getvalue()
    assert [part in moves for part in ("4/4", "tokens/s", "\x1b[")] == [logged] * 3
    assert " val " not in moves
    assert sum(line.startswith("step ") and " val " in line for line in stays.splitlines()) == 2
    assert "\x1b" not in stays
