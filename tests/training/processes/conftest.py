"""One run on two processes, which the project starts by itself: seconds of imports, so that tests share it."""

from pathlib import Path

import pytest
from launched import TWO, TYPED, UNDISTURBED

import lstm_lm


@pytest.fixture(scope="session")
def text(small_text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The text of that run, in a folder of its own."""
    path = tmp_path_factory.mktemp("undisturbed") / "text.txt"
    path.write_text(small_text, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def undisturbed(text: Path) -> Path:
    """An epoch, whose gradients, hidden states and validations two processes share."""
    paths = (f"data.path={text}", f"data.cache_dir={text.parent / 'cache'}")
    lstm_lm.train(lstm_lm.compose(*TYPED, *TWO, *UNDISTURBED, *paths), text.parent / "run")
    return text.parent / "run"
