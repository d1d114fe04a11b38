"""The documents lead where they say they lead, and nothing in them is still to be filled in."""

import re
import tomllib
from functools import cache
from itertools import chain
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

import lstm_lm

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)>\s]+)")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
PLACEHOLDER = re.compile(r"@[A-Z][A-Z0-9_]*@")
FILE = re.compile(
    r"(?<![\w./*-])(?:[\w.*-]+/)*[\w*-]+\.py\b"
    r"|(?<![\w./*-])(?:src|conf|tests|benchmarks|docs)/(?:[\w*-]+[/.])*[\w*-]+\.\w+\b"
)
"""A program by the last parts of its path; any other file from the project's root on."""
MADE_UP = re.compile(r"lstm_lm_dna/\S*|conf/tokenizer/dna\.yaml")
"""The package that docs/plugins.md makes."""
FOLDER = re.compile(r"`((?:[\w-]+/)+)`")


def name(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def without_code(text: str) -> str:
    """`text` without its blocks and spans of code, where brackets are no links."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"(?ms)^```.*?^```", "", text))


def relative_links(text: str) -> list[str]:
    """Where the links in `text` lead, but for other sites and places on the same page."""
    # What a link shows may be code: only what it leads to is asked for, so an empty text is a link all the same.
    found = LINK.findall(without_code(text))
    return [target for target in found if not ELSEWHERE.match(target) and not target.startswith("#")]


def test_links_are_found() -> None:
    text = '[a](one.md) and ![b](two.png "title"), [`c`](three/#part) `[d](code)` [e](https://x.org) [f](#here)\n'
    assert relative_links(text + "```bash\n[g](block)\n```\n") == ["one.md", "two.png", "three/#part"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {"docs/architecture.md", "docs/images/wall_time-avx2.png"} <= set(relative_links(readme))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_relative_link_leads_to_something_in_the_project(document: Path) -> None:
    for link in relative_links(document.read_text(encoding="utf-8")):
        target = (document.parent / unquote(link.split("#")[0])).resolve()
        assert target.is_relative_to(ROOT), f"{link} leads out of the project"
        assert target.exists(), f"{link} leads nowhere"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_no_placeholder_is_left(document: Path) -> None:
    assert PLACEHOLDER.findall(document.read_text(encoding="utf-8")) == []


def test_it_is_cited_as_what_it_is() -> None:
    """By the keys of CFF 1.2.0 that it needs, and what else the project says of itself."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert cited["cff-version"] == "1.2.0"
    assert cited["message"]
    assert [list(author) for author in cited["authors"]] == [["name"]], "an entity, and nobody by name"
    assert cited["title"] == project["name"]
    assert cited["version"] == project["version"] == lstm_lm.__version__
    assert cited["license"] == project["license"]
    assert cited["keywords"] == project["keywords"]


@cache
def there() -> list[Path]:
    """All files and folders of the project that documents name, relative to it."""
    folders = [ROOT / folder for folder in ("src", "conf", "tests", "benchmarks", "docs")]
    found = [*ROOT.glob("*.py"), *folders, *chain.from_iterable(folder.rglob("*") for folder in folders)]
    return [path.relative_to(ROOT) for path in found if "__pycache__" not in path.parts]


def named(text: str) -> set[str]:
    """Files and folders of this project that `text` names; NAME stands for any option."""
    roots = {path.parts[0] for path in there()} | {path.parts[2] for path in there() if path.match("src/lstm_lm/*/")}
    text = MADE_UP.sub("", text)
    folders = (name.rstrip("/") for name in FOLDER.findall(text) if name.split("/")[0] in roots)
    return {name.replace("../", "").replace("NAME", "*") for name in (*FILE.findall(text), *folders)}


def test_named_files_are_found() -> None:
    text = (
        "`training/train.py`, conf/data/NAME.yaml, `benchmarks/results/x-1.csv` and `tests/forward/`, but not "
        "`outputs/sweeps/` or https://x.org/docs/a.md"
    )
    assert named(text) == {"training/train.py", "conf/data/*.yaml", "benchmarks/results/x-1.csv", "tests/forward"}
    assert {"training/state.py", "cells/*.py"} <= named((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path.name != "CHANGELOG.md"], ids=name)
def test_every_file_that_is_named_is_there(document: Path) -> None:
    """By the last parts of its path, as documents name it."""
    missing = [
        name for name in named(document.read_text(encoding="utf-8")) if not any(path.match(name) for path in there())
    ]
    assert sorted(missing) == []


def test_every_decision_is_listed() -> None:
    listed = relative_links((ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8"))
    there = {path.name for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md")}
    assert there == {link for link in listed if link[0].isdigit()}
