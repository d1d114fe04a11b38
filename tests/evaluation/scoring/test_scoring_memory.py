"""A text is scored as a stream: memory does not grow with it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lstm_lm

SCORED = """
import sys
from pathlib import Path

import lstm_lm

rows = sum(1 for _ in lstm_lm.score(sys.argv[1], path=sys.argv[2]))
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
print(rows, peak)
"""


def peak(run: Path, text: Path) -> tuple[int, int]:
    """Rows, and the most memory in KiB that a process of its own has held."""
    done = subprocess.run(
        [sys.executable, "-c", SCORED, str(run), str(text)], capture_output=True, text=True, check=True
    )
    rows, kib = map(int, done.stdout.split())
    return rows, kib


@pytest.mark.linux
def test_eight_times_the_lines_take_no_more_memory(small_config: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    lstm_lm.train(small_config("trainer.max_steps=2", "tokenizer=byte"), tmp_path / "run")
    line = "a line of a log, with so many letters that a few of them are soon some MiB of text\n"
    small, large = tmp_path / "small.txt", tmp_path / "large.txt"
    small.write_text(line * 4_000)
    large.write_text(line * 32_000)
    (few, least), (many, most) = peak(tmp_path / "run", small), peak(tmp_path / "run", large)
    assert (few, many) == (4_000, 32_000)
    assert most < least + 16 * 1024, "KiB: 28,000 rows would be another 15 MiB"
