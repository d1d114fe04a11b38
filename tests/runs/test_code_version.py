"""The version of the code changes with what the code does, and with nothing else."""

from pathlib import Path

import lstm_lm
from lstm_lm.runs.code_version import code_differences, code_version, source_digest

SOURCE = """
def twice(x: int) -> int:
    return 2 * x
"""


def package(folder: Path, **modules: str) -> Path:
    for name, source in {"cells": SOURCE, **modules}.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "it.py").write_text(source)
    return folder


def test_comments_docstrings_and_layout_are_not_what_code_does(tmp_path: Path) -> None:
    told = '"""Says more."""\n' + SOURCE.replace("    return", '    """Doubles."""\n    # why\n    return').replace(
        "2 * x", "(2*x)"
    )
    assert source_digest(package(tmp_path / "a")) == source_digest(package(tmp_path / "b", cells=told))


def test_anything_that_computes_otherwise_counts(tmp_path: Path) -> None:
    sources = {"as it was": SOURCE, "another number": SOURCE.replace("2", "3"), "no Python": "def ("}
    sources |= {
        "a text": SOURCE.replace("2", "'2'"),
        "one line more": f"{SOURCE}\nx = [1, 2]",
        "a list": f"{SOURCE}\nx = [[1], 2]",
    }
    digests = {source_digest(package(tmp_path / name, cells=source)) for name, source in sources.items()}
    digests.add(source_digest(package(tmp_path / "one more", forward=SOURCE)))
    assert len(digests) == len(sources) + 1


def test_what_only_shows_does_not_count(tmp_path: Path) -> None:
    before = source_digest(package(tmp_path / "a"))
    assert source_digest(package(tmp_path / "b", reports=SOURCE, cli=SOURCE, sweeps=SOURCE, runs=SOURCE)) == before


def test_this_code_has_a_version_of_which_each_part_is_named() -> None:
    now = code_version()
    assert now["lstm-lm"] == lstm_lm.__version__
    assert {"source", "python", "torch"} <= set(now)
    assert code_differences(now, now) == []
    assert code_differences({**now, "torch": "1.0"}, now) == [f"code, torch: 1.0 then, {now['torch']} now"]
