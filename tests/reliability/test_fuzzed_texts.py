"""Prompts, tokenizers, manifests and caches of every kind: used, or refused in a few lines. Never a traceback."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from counted import counted, refused_well
from hypothesis import strategies as st
from odd_values import ANY_TEXT, ODD_TEXTS, mutated

import lstm_lm
from lstm_lm.data.manifest import Manifest, _digest
from lstm_lm.errors import UserError
from lstm_lm.tokenizers import Tokenizer, tokenizer_from_json

Config = Callable[..., dict[str, Any]]
Keep = Callable[..., None]
TOKENIZERS = ("char", "byte", "bpe", "word")


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, small_text: str, small_overrides: tuple[str, ...]
) -> dict[str, Path]:
    """A run with each kind of tokenizer."""
    folder = tmp_path_factory.mktemp("runs")
    text = folder / "small.txt"
    text.write_text(small_text)
    for name in TOKENIZERS:
        more = ("tokenizer.vocabulary_size=270",) if name == "bpe" else ()
        paths = (f"data.path='{text}'", f"data.cache_dir='{folder / 'cache'}'", f"tokenizer={name}", *more)
        lstm_lm.train(lstm_lm.compose(*small_overrides, *paths, "trainer.max_steps=1"), folder / name)
    return {name: folder / name for name in TOKENIZERS}


def prompt_handler(run: Path) -> Callable[..., str]:
    loaded = lstm_lm.load(run)

    def handled(prompt: str, unknown: str, seed: int) -> str:
        try:
            text = lstm_lm.generate(loaded, prompt=prompt, max_new_tokens=3, unknown=unknown, seed=seed)
        except UserError as error:
            refused_well(error)
            return "refused"
        assert isinstance(text, str)
        return "continued"

    return handled


def check_prompts(run: Path, examples: int) -> Counter[str]:
    unknown = st.sampled_from(["error", "skip", "replace"])
    return counted(prompt_handler(run), examples, prompt=ANY_TEXT, unknown=unknown, seed=st.integers(0, 99))


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_any_prompt_is_continued_or_refused(tokenizer: str, runs: dict[str, Path]) -> None:
    counts = check_prompts(runs[tokenizer], 80)
    assert counts["continued"] > 10


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_each_odd_prompt_is_continued_or_refused(tokenizer: str, runs: dict[str, Path]) -> None:
    handled = prompt_handler(runs[tokenizer])
    for prompt in ODD_TEXTS:
        for unknown in ("error", "skip", "replace"):
            assert handled(prompt, unknown, 0) in ("continued", "refused")


def check_tokenizers(whole: Tokenizer, examples: int) -> Counter[str]:
    """What is taken can do what a tokenizer does."""
    plain = json.loads(json.dumps(whole.to_json()))

    def handled(described: Any) -> str:
        try:
            tokenizer = tokenizer_from_json(described)
        except UserError as error:
            refused_well(error)
            return "refused"
        assert tokenizer.vocabulary_size >= 1
        for token in {0, tokenizer.vocabulary_size // 2, tokenizer.vocabulary_size - 1}:
            assert isinstance(tokenizer.decode([token]), str)
        encoded = tokenizer.encode("the cat", unknown="skip").ids
        assert all(0 <= token < tokenizer.vocabulary_size for token in encoded.tolist())
        return "taken"

    return counted(handled, examples, described=mutated(plain))


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_any_description_of_a_tokenizer_is_taken_or_refused(tokenizer: str, runs: dict[str, Path]) -> None:
    counts = check_tokenizers(lstm_lm.load(runs[tokenizer]).tokenizer, 200)
    assert counts["refused"] > 20


def check_manifests(whole: Path, file: Path, examples: int) -> Counter[str]:
    """With a digest that fits: whoever writes to a cache can write that, too."""
    content = json.loads(whole.read_text(encoding="utf-8"))
    content.pop("digest")

    def handled(described: Any) -> str:
        if isinstance(described, dict):
            described = described | {"digest": _digest(described)}
        file.write_text(json.dumps(described), encoding="utf-8")
        read = Manifest.read(file)
        if read is None:
            return "made anew"
        assert read.splits.keys() <= {"train", "validation", "test"}
        assert all(read.file_bytes(split) >= 0 for split in read.splits)
        return "read"

    return counted(handled, examples, described=mutated(content))


def manifest_of(runs: dict[str, Path]) -> Path:
    return next(iter((runs["char"].parent / "cache").rglob("manifest.json")))


def test_any_manifest_is_read_or_made_anew(runs: dict[str, Path], tmp_path: Path) -> None:
    counts = check_manifests(manifest_of(runs), tmp_path / "manifest.json", 300)
    assert counts["made anew"] > 100


def check_caches(config: dict[str, Any], cache: Path, folder: Path, examples: int) -> Counter[str]:
    """Whatever lies in the cache: what is trained on are the text's tokens, and the cache holds them again."""
    expected = lstm_lm.train(config, folder / "whole").val
    whole = {path: path.read_bytes() for path in cache.rglob("*") if path.is_file() and path.stat().st_size}
    number = 0

    def handled(of_files: float, of_bytes: float, bit: int, how: str) -> str:
        nonlocal number
        number += 1
        file = sorted(whole)[int(of_files * len(whole))]
        data = bytearray(whole[file])
        at = int(of_bytes * len(data))
        if how == "flip":
            data[at] ^= 1 << bit
        elif how == "cut":
            del data[at:]
        else:
            data += b"x"
        file.write_bytes(data)
        assert lstm_lm.train(config, folder / f"run-{number}").val == expected, file
        assert {path: path.read_bytes() for path in whole} == whole, file
        return "noticed"

    share = st.floats(0, 1, exclude_max=True)
    return counted(
        handled,
        examples,
        of_files=share,
        of_bytes=share,
        bit=st.integers(0, 7),
        how=st.sampled_from(["flip", "cut", "append"]),
    )


def test_a_damaged_cache_is_noticed_and_made_anew(small_config: Config, tmp_path: Path) -> None:
    counts = check_caches(small_config("trainer.max_steps=1"), tmp_path / "cache", tmp_path / "runs", 8)
    assert counts["noticed"] == 8


@pytest.mark.slow
def test_many_prompts(runs: dict[str, Path], keep: Keep) -> None:
    counts = sum((check_prompts(run, 3000) for run in runs.values()), Counter[str]())
    keep("prompts", tried=counts.total(), continued=counts["continued"], refused=counts["refused"])
    assert counts.total() >= 8000


@pytest.mark.slow
def test_many_tokenizers(runs: dict[str, Path], keep: Keep) -> None:
    whole = [lstm_lm.load(run).tokenizer for run in runs.values()]
    counts = sum((check_tokenizers(tokenizer, 5000) for tokenizer in whole), Counter[str]())
    keep("tokenizers", tried=counts.total(), taken=counts["taken"], refused=counts["refused"])
    assert counts.total() >= 12_000


@pytest.mark.slow
def test_many_manifests(runs: dict[str, Path], tmp_path: Path, keep: Keep) -> None:
    counts = check_manifests(manifest_of(runs), tmp_path / "manifest.json", 20_000)
    keep("manifests", tried=counts.total(), read=counts["read"], made_anew=counts["made anew"])
    assert counts.total() >= 15_000


@pytest.mark.slow
def test_many_damaged_caches(small_config: Config, tmp_path: Path, keep: Keep) -> None:
    counts = check_caches(small_config("trainer.max_steps=1"), tmp_path / "cache", tmp_path / "runs", 200)
    keep("caches", tried=counts.total(), noticed=counts["noticed"])
    assert counts["noticed"] == counts.total()
