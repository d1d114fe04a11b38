"""The commands of docs/scaling.md: what they say exists, and fits together. Clusters run them elsewhere."""

import re
import shlex
from pathlib import Path

import pytest

import lstm_lm
from lstm_lm.cli.main import main
from lstm_lm.training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[1]


def commands() -> list[list[str]]:
    """What follows `train.py` in each command of the page."""
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    lines = [line.split("  #")[0] for block in blocks for line in block.splitlines() if "train.py" in line]
    return [shlex.split(line.replace("$SLURM_ARRAY_TASK_ID", "3"))[1:] for line in lines]


def overrides_of(command: list[str]) -> list[str]:
    return command[command.index("train.py") + 1 :] if "train.py" in command else command


def first_values(command: list[str]) -> list[str]:
    """Without -m, and of what is swept the first value."""
    return [re.sub(r"=([^\[,]*),.*", r"=\1", word) for word in command if word != "-m"]


def test_there_are_commands_of_each_kind() -> None:
    typed = [" ".join(command) for command in commands()]
    for kind in ("device=ddp", "resume=auto", "-m ", "hydra/launcher=joblib", "hydra/launcher=submitit_slurm"):
        assert any(kind in command for command in typed), kind


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_is_a_configuration(command: list[str]) -> None:
    overrides = [word for word in first_values(overrides_of(command)) if not word.startswith("hydra")]
    TrainConfig.parse(lstm_lm.compose(*overrides))


@pytest.mark.parametrize("command", [words for words in commands() if "-m" in words], ids=" ".join)
def test_every_launcher_and_key_of_a_sweep_exists(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--cfg", "hydra", *first_values(overrides_of(command))]) == 0
    assert "launcher:" in capsys.readouterr().out
