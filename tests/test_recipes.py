"""What is told about the recipes is what was measured, and what cannot be trained here at least runs here."""

import importlib
import json
import statistics
from pathlib import Path
from types import ModuleType

import pytest

import lstm_lm
from lstm_lm.cli.hydra.conf import conf_dir
from lstm_lm.errors import UserError
from lstm_lm.runs import metrics_file

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("recipes_page")


def test_the_page_is_made_from_the_summaries(page: ModuleType) -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.page()


def test_every_recipe_has_its_place_on_the_page(page: ModuleType) -> None:
    assert set(page.RECIPES) == {path.stem for path in (conf_dir() / "experiment").glob("*.yaml")}


def test_every_recipe_says_in_its_file_what_it_reaches(page: ModuleType) -> None:
    """The median over the seeds, as kept; another one is another claim."""
    for name in page.RECIPES:
        runs = [json.loads(path.read_text(encoding="utf-8")) for path in page.KEPT.glob(f"{name}-*.json")]
        assert runs, f"{name}: nothing measured"
        if name == "awd_wikitext2":  # which takes a GPU and days: its file says what its authors report
            continue
        loss = statistics.median(run["summary"]["val"]["loss"] for run in runs)
        text = (conf_dir() / "experiment" / f"{name}.yaml").read_text(encoding="utf-8")
        assert f"Reaches {loss:.4f} nats" in text, name


@pytest.fixture
def tokenized(tmp_path: Path) -> Path:
    """A text as WikiText's: words between blanks, punctuation apart, lines that end with a blank."""
    line = " the <unk> of a small text , which is as long as it has to be , goes on and on and ends : here . \n"
    for name, times in (("train", 400), ("valid", 40), ("test", 40)):
        (tmp_path / f"wiki.{name}.tokens").write_text(" \n = text = \n \n" + line * times)
    return tmp_path


def test_the_awd_setting_trains_on_any_text_of_that_form(tokenized: Path, tmp_path: Path) -> None:
    """Its widths are for a GPU: here a fiftieth of them, 50 steps; all else is the recipe's."""
    config = lstm_lm.compose(
        "experiment=awd_wikitext2",
        f"data.path='{tokenized}'",
        f"data.cache_dir='{tmp_path / 'cache'}'",
        "model.hidden_size=[23,23,8]",
        "model.embedding_size=8",
        "data.batch_size=4",
        "trainer.max_steps=50",
        "trainer.log_every_n_steps=1",
        "device=cpu",
        "callbacks.samples.length=0",
    )
    summary = lstm_lm.train(config, tmp_path / "run")
    losses = [row["train/loss"] for row in metrics_file.read(tmp_path / "run" / "metrics.csv")]
    assert len(losses) == summary.train.steps == 50
    assert sum(losses[-10:]) < sum(losses[:10])
    assert summary.val is not None
    assert summary.val.bits_per_byte is not None, "<unk> is a word of the text, and none is unknown to the tokenizer"
    assert summary.test is not None


@pytest.mark.parametrize("name", ["awd_wikitext2", "shakespeare_best"])
def test_a_recipe_whose_text_is_absent_says_how_to_name_it(name: str, tmp_path: Path) -> None:
    config = lstm_lm.compose(f"experiment={name}", f"data.path='{tmp_path / 'nowhere'}'")
    with pytest.raises(UserError) as caught:
        lstm_lm.train(config, tmp_path / "run")
    assert "data.path" in str(caught.value)
    assert not (tmp_path / "run").exists()
