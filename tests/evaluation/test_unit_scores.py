"""A run that was trained on lines is scored on lines, its own or those of another text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lstm_lm
from lstm_lm.errors import UserError

Config = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, small_text: str, small_overrides: tuple[str, ...]) -> Path:
    """The folder of three runs, `line`, `document` and `window`, and of the text that they were trained on."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "text.txt").write_text(small_text)
    units = {"line": ["data.seq_len=20"], "document": ["data.separator=.", "data.seq_len=8"], "window": []}
    for unit, more in units.items():
        paths = (f"data.path={folder / 'text.txt'}", f"data.cache_dir={folder / 'cache'}")
        typed = (f"data.unit={unit}", "data.split_seed=3", "data.test_fraction=0.2", "trainer.max_steps=4", *more)
        lstm_lm.train(lstm_lm.compose(*small_overrides, *paths, *typed), folder / unit)
    return folder


def scores(run: Path, data: dict[str, Any] | None = None, method: str = "static", **options: Any) -> dict[str, Any]:
    return lstm_lm.evaluate(run, method, data=data, save=False, device="cpu", **options)


@pytest.mark.parametrize("unit", ["line", "document", "window"])
def test_the_loss_is_what_training_says(unit: str, runs: Path) -> None:
    import json

    said = json.loads((runs / unit / "summary.json").read_text())
    found = scores(runs / unit)
    for split, name in (("validation", "val"), ("test", "test")):
        assert found["splits"][split]["loss"] == pytest.approx(said[name]["loss"], abs=1e-5)
        assert found["splits"][split]["tokens"] == said[name]["tokens"]
    assert found["data"]["unit"] == unit
    assert found["data"]["trained_on"] == {}


def test_how_many_lines_are_side_by_side_and_where_blocks_begin_changes_no_loss(runs: Path) -> None:
    one, many = (scores(runs / "line", splits=["train"], batch_size=size) for size in (1, 50))
    assert many["splits"]["train"]["loss"] == pytest.approx(one["splits"]["train"]["loss"], abs=1e-5)
    losses = [found["splits"]["train"]["blocks"]["losses"] for found in (one, many)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4), "blocks are parts of the text, not of batches"
    assert many["splits"]["train"]["speed"] is None or many["splits"]["train"]["speed"]["tokens_per_second"] > 0


def test_the_interval_of_lines_drawn_at_random_is_over_lines_in_whatever_order_they_stand(runs: Path) -> None:
    """In a list in alphabetical order, neighbours are alike: blocks of it would differ from each other by that."""
    text = runs / "text.txt"
    (runs / "sorted.txt").write_text("".join(sorted(text.read_text().splitlines(keepends=True))))
    widths = []
    for path in (text, runs / "sorted.txt"):
        low, high = scores(runs / "line", {"path": str(path)})["splits"]["test"]["loss_interval"]
        widths.append(high - low)
    assert widths[0] == pytest.approx(widths[1], rel=1e-4)


def test_another_text_is_scored_line_by_line_too(runs: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("the cat sat on a mat.\ndogs run.\n\nthe cat saw dogs.")
    by_key = scores(runs / "line", {"path": str(other)})
    option = lstm_lm.compose("data=text", f"data.path={other}", config_name="evaluate")["data"]
    by_option = scores(runs / "line", {**option, "cache_dir": str(tmp_path)})
    lines = [line for line in other.read_text().split("\n") if line]
    for found in (by_key, by_option):
        assert found["splits"]["test"]["tokens"] == sum(map(len, lines)) + 3
    assert by_key["splits"]["test"]["loss"] == pytest.approx(by_option["splits"]["test"]["loss"], abs=1e-5)
    row = lstm_lm.score(runs / "document", "dogs run", device="cpu")
    assert next(iter(row))["tokens"] > 0


def test_the_very_text_cut_in_another_way_may_have_trained(runs: Path) -> None:
    found = scores(runs / "line", {"validation_fraction": 0.5})
    assert set(found["data"]["trained_on"]) == {"train", "validation", "test"}
    assert "test" in scores(runs / "line", {"path": str(runs / "text.txt")})["data"]["trained_on"]


@pytest.mark.parametrize("unit", ["line", "document"])
def test_what_makes_no_sense_of_units_is_refused_with_the_reason(unit: str, runs: Path) -> None:
    for method in ("context", "dynamic"):
        with pytest.raises(UserError, match=rf"method={method}: ") as caught:
            scores(runs / unit, method=method)
        assert len(str(caught.value).splitlines()) <= 2
    with pytest.raises(UserError, match=r"method\.context=3"):
        scores(runs / unit, context=3)


def test_another_unit_is_another_figure_and_is_refused(runs: Path) -> None:
    for run, unit in (("line", "window"), ("window", "line"), ("document", "line")):
        with pytest.raises(UserError, match=rf"data\.unit={unit}: "):
            scores(runs / run, {"unit": unit})
    with pytest.raises(UserError, match=r"data\.separator=';': "):
        scores(runs / "document", {"separator": ";"})
    assert scores(runs / "line", {"unit": "line"})["data"]["unit"] == "line"


def test_a_sample_of_a_run_of_lines_is_lines(runs: Path) -> None:
    found = scores(runs / "line", method="sampling", prompt="the", max_new_tokens=60, warmup_tokens=0)
    assert found["tokens"] == 60
    assert found["text"] is not None
