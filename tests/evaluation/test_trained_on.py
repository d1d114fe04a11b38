"""A score of text that the run trained on is said to be one."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lstm_lm
from lstm_lm.evaluation.trained_on import trained_on

Config = Callable[..., dict[str, Any]]
WORDS = "".join(chr(97 + (i * i) % 26) + (" " if i % 5 == 0 else "") for i in range(4000))
SMALL = {"batch_size": 4, "seq_len": 16}


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "texts").mkdir()
    for name, content in (("a", WORDS), ("b", WORDS[::-1])):
        (tmp_path / f"texts/{name}.txt").write_text(content)
    return tmp_path / "texts"


def trained(config: Config, tmp_path: Path, path: Path, *more: str) -> Path:
    overrides = ["data=text", f"data.path={path}", f"data.cache_dir={tmp_path / 'cache'}", "trainer.max_steps=1", *more]
    lstm_lm.train(config(*overrides), tmp_path / "run")
    return tmp_path / "run"


def said(run: Path, caplog: pytest.LogCaptureFixture, **data: Any) -> dict[str, str]:
    caplog.clear()
    section = lstm_lm.evaluate(run, data=data, save=False, device="cpu")
    found: dict[str, str] = section["data"]["trained_on"]
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told == list(found.values())
    return found


def test_another_cut_of_the_same_text_says_how_much_of_it_was_trained_on(
    small_config: Config, tmp_path: Path, text: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = trained(small_config, tmp_path, text / "a.txt")
    assert said(run, caplog) == {}  # the run's own
    # 0.9 trained: of the last half, 0.4 of 0.5
    assert "80% of it" in said(run, caplog, validation_fraction=0.5)["validation"]
    assert said(run, caplog, validation_fraction=0.05, test_fraction=0.05) == {}
    found = said(run, caplog, validation_fraction=0.05)  # whose training split is 0.95 of the text
    assert f"{0.9 / 0.95:.0%} of it" in found["train"]
    assert "validation" not in found


def test_a_file_of_the_folder_that_was_trained_on_is_known_by_its_bytes(
    small_config: Config, tmp_path: Path, text: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = trained(small_config, tmp_path, text)
    copy, other = tmp_path / "copy.md", tmp_path / "other.txt"
    copy.write_bytes((text / "b.txt").read_bytes())
    other.write_text(WORDS[7:])
    whole = lstm_lm.compose("data=text", f"data.path={copy}", f"data.cache_dir={tmp_path / 'cache'}")["data"]
    assert set(said(run, caplog, **whole)) == {"train", "validation"}
    assert said(run, caplog, **{**whole, "path": str(other)}) == {}
    own = {**whole, "path": str(other), "validation_path": str(copy)}
    assert set(said(run, caplog, **own)) == {"validation"}


def test_only_the_splits_that_are_scored_are_spoken_of(
    small_config: Config, tmp_path: Path, text: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = trained(small_config, tmp_path, text / "a.txt")
    section = lstm_lm.evaluate(run, data={"validation_fraction": 0.5}, save=False, device="cpu", splits=["validation"])
    assert list(section["data"]["trained_on"]) == ["validation"]


def test_a_checkpoint_that_says_nothing_usable_is_no_reason_to_stop() -> None:
    for then in (None, {}, [], {"splits": {"train": 3}}, "text"):
        assert trained_on([], None, then) == {}  # type: ignore[arg-type]


def test_the_runs_own_text_is_told_to_be_another_one_once_it_is(
    small_config: Config, tmp_path: Path, text: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = trained(small_config, tmp_path, text / "a.txt")
    (text / "a.txt").write_text(WORDS[5:])
    lstm_lm.evaluate(run, save=False, device="cpu")
    (told,) = (record.getMessage() for record in caplog.records)
    assert "not the text that the run trained beside" in told
    caplog.clear()
    lstm_lm.evaluate(run, data={"path": str(text / "a.txt")}, save=False, device="cpu")
    assert not caplog.records, "who names a text knows which it is"
