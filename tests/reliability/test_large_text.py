"""A text that is larger than memory should be: encoded in a stream, trained from a map of the file."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from tiers import smallest

import lstm_lm

SCRIPT = Path(__file__).with_name("measured_process.py")
MIB = 2**20
MOST_MORE = 250 * 10**6
"""Bytes of anonymous memory beyond what the imports take."""

TOKENIZERS = ("char", "byte", "bpe")

Keep = Callable[..., None]

linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells anonymous memory")


def write_text(path: Path, mebibytes: int, times: int = 1) -> None:
    """Words of a made-up language with the frequencies that words have, in lines; each MiB of it so many `times`."""
    chance = random.Random(1)
    letters = "etaoinshrdlucmfwypvbgkjqxz\u00e9\u0436\u65e5"  # of one, two and three bytes
    words = ["".join(chance.choices(letters, k=chance.randint(1, 9))) for _ in range(20_000)]
    cumulated = [*accumulate(1 / rank for rank in range(1, len(words) + 1))]
    with path.open("wb") as file:
        for _ in range(mebibytes):
            drawn = chance.choices(words, cum_weights=cumulated, k=MIB // 5)
            lines = "\n".join(" ".join(drawn[at : at + 12]) for at in range(0, len(drawn), 12))
            whole = lines.encode()[: MIB - 1].decode(errors="ignore")
            file.write((whole.encode().ljust(MIB - 1) + b"\n") * times)


def measure(do: str, config: dict[str, Any], run_dir: Path | None = None) -> dict[str, Any]:
    order = {"do": do, "config": config, "run_dir": str(run_dir)}
    done = subprocess.run([sys.executable, str(SCRIPT), json.dumps(order)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def config_of(text: Path, cache: Path, tokenizer: str, *more: str) -> dict[str, Any]:
    return lstm_lm.compose(
        "data=text",
        f"data.path='{text}'",
        f"data.cache_dir='{cache}'",
        f"tokenizer={tokenizer}",
        *("device=cpu", "precision=32-true", "runtime.threads=1", "callbacks.samples.length=0"),
        *("model.num_layers=1", "model.hidden_size=32", "model.embedding_size=16", "trainer.max_epochs=-1"),
        *("trainer.limit_val_batches=2", "trainer.check_val_every_n_epoch=1000", "logger=csv"),
        "callbacks.checkpoint.every_n_steps=20",  # what writing one takes shall be there from the beginning
        *more,
    )


def check_encoding(text: Path, cache: Path, tokenizer: str) -> dict[str, Any]:
    result = measure("encode", config_of(text, cache, tokenizer))
    assert result["tokens"] > text.stat().st_size / 10
    assert result["more_bytes"] < MOST_MORE
    return result


def check_training(text: Path, cache: Path, folder: Path, steps: int, most_growth: float) -> dict[str, Any]:
    """Encodes first, so that the seconds to the first step are those of a text from the cache."""
    config = config_of(text, cache, "byte", f"trainer.max_steps={steps}")
    measure("encode", config)
    result = measure("train", config, folder)
    seen = result["anonymous_bytes"]
    assert len(seen) == 10
    result["growth"] = max(seen[1:]) / seen[0] - 1
    assert result["growth"] < most_growth
    return result


@linux
@pytest.mark.parametrize("tokenizer", smallest(TOKENIZERS, "char"))
def test_encoding_takes_little_more_memory_than_the_imports(tokenizer: str, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    write_text(text, 2, times=8)
    check_encoding(text, tmp_path / "cache", tokenizer)


@linux
@pytest.mark.matrix
def test_training_takes_no_more_memory_the_longer_it_lasts(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    write_text(text, 4)
    check_training(text, tmp_path / "cache", tmp_path / "run", steps=400, most_growth=0.02)


@pytest.fixture(scope="module")
def gibibyte(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = tmp_path_factory.mktemp("large") / "text.txt"
    write_text(text, 1024)
    return text


@linux
@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_a_gibibyte_is_encoded(tokenizer: str, gibibyte: Path, tmp_path: Path, keep: Keep) -> None:
    result = check_encoding(gibibyte, tmp_path / "cache", tokenizer)
    keep(f"encoding_{tokenizer}", mebibytes=gibibyte.stat().st_size // MIB, **result)


@linux
@pytest.mark.slow
def test_a_gibibyte_is_trained_on_in_flat_memory_and_starts_at_once(gibibyte: Path, tmp_path: Path, keep: Keep) -> None:
    small = tmp_path / "small.txt"
    write_text(small, 1)
    of_small = check_training(small, tmp_path / "cache", tmp_path / "small", steps=20, most_growth=1.0)
    of_large = check_training(gibibyte, tmp_path / "cache", tmp_path / "large", steps=5000, most_growth=0.01)
    seconds = [result["seconds_to_first_step"] for result in (of_small, of_large)]
    keep(
        "large_text",
        steps=5000,
        anonymous_bytes=of_large["anonymous_bytes"],
        growth=of_large["growth"],
        seconds_to_first_step={"1 MiB": seconds[0], "1 GiB": seconds[1]},
    )
    assert seconds[1] < seconds[0] + 2
