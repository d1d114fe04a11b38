"""docs/studies.md is made from the folders of studies; here of one that is made up."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
REPORT = """# Batch size, device and kernel (small)

From which batch size on?

|  |  |
| --- | --- |
| machine | a made-up one |

## What came out

- CPU is faster at batch size 1.

### A part

```text
    a sample
    ## not a heading
```

![batch device](batch_device.png)

## All rows

| row | repetitions |
| --- | ---: |
| a | 3 |

A median (lowest..highest).

## Skipped: not possible on this machine

- `device=gpu`: no GPU

## Run a row again

```bash
# a
python -m lstm_lm train data.path=/somewhere
```
"""


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("studies_page")


def made(generator: ModuleType, root: Path, meanings: str) -> tuple[str, list[str]]:
    folder = root / "outputs" / "batch_device" / "small"
    folder.mkdir(parents=True)
    (folder / "report.md").write_text(REPORT, encoding="utf-8")
    (folder / "results.csv").write_text("row,status\na,completed\n", encoding="utf-8")
    (folder / "batch_device.png").write_bytes(b"a picture")
    (root / "benchmarks").mkdir()
    (root / "benchmarks" / "studies_meaning.md").write_text(meanings, encoding="utf-8")
    missing = generator.make(root / "outputs", "small", root)
    return (root / "docs" / "studies.md").read_text(encoding="utf-8"), missing


def test_it_holds_what_the_report_says_and_what_that_means(generator: ModuleType, tmp_path: Path) -> None:
    meaning = "Small batches belong on the CPU. Large ones were not measured."
    page, missing = made(generator, tmp_path, f"# What\n\n## batch_device\n\n{meaning}\n\n## tuning\n\nNothing.\n")
    assert missing == ["precision_compile", "layers", "architectures", "tuning"]
    assert "\n## Batch size, device and kernel\n\nFrom which batch size on?\n" in page
    assert f"**What it means.** {meaning}\n" in page
    assert "| machine | a made-up one |" in page
    assert "- CPU is faster at batch size 1." in page
    assert "![batch device](images/studies/batch_device.png)" in page
    assert "- `device=gpu`: no GPU" in page
    assert "<summary>All rows</summary>\n\n| row | repetitions |" in page
    assert "\n    ## not a heading\n" in page
    assert "Nothing." not in page
    assert "data.path=/somewhere" not in page
    assert generator.NOT_WRITTEN not in page


def test_pictures_and_figures_are_copied_and_old_pictures_go(generator: ModuleType, tmp_path: Path) -> None:
    old = tmp_path / "docs" / "images" / "studies" / "of_a_study_that_is_gone.png"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"")
    made(generator, tmp_path, "")
    assert [path.name for path in old.parent.iterdir()] == ["batch_device.png"]
    assert (old.parent / "batch_device.png").read_bytes() == b"a picture"
    table = tmp_path / "benchmarks" / "results" / "studies" / "batch_device.csv"
    assert table.read_text(encoding="utf-8") == "row,status\na,completed\n"


def test_a_meaning_that_nobody_has_written_is_marked(generator: ModuleType, tmp_path: Path) -> None:
    page, _ = made(generator, tmp_path, "")
    assert f"**What it means.** {generator.NOT_WRITTEN}" in page


def test_every_study_has_its_place_in_the_page(generator: ModuleType) -> None:
    from lstm_lm.cli.hydra.conf import options_of

    assert set(generator.ORDER) == set(options_of("study"))
    assert set(generator.read_meanings(ROOT / generator.MEANING)) == set(generator.ORDER)
