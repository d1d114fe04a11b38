import json
import math
import threading
from pathlib import Path

import pytest

from lstm_lm.errors import UserError
from lstm_lm.runs import evaluation_file


def test_another_methods_section_stays(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    assert evaluation_file.read(path) == {}
    evaluation_file.put(path, "static", {"loss": 1.5, "interval": (1.4, 1.6)})
    evaluation_file.put(path, "context", {"loss": 1.7})
    evaluation_file.put(path, "static", {"loss": 1.25})
    version = {"schema_version": 1}
    assert evaluation_file.read(path) == {"static": {**version, "loss": 1.25}, "context": {**version, "loss": 1.7}}


def test_json_has_no_nan_and_no_infinity(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    evaluation_file.put(path, "static", {"a": math.nan, "b": [1.0, math.inf], "c": {"d": -math.inf}})
    section = json.loads(path.read_text())["static"]
    assert (section["a"], section["b"], section["c"]) == (None, [1.0, None], {"d": None})


def test_several_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    threads = [
        threading.Thread(target=evaluation_file.put, args=(path, f"method{number}", {"number": number}))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(evaluation_file.read(path)) == [f"method{number}" for number in range(8)]


@pytest.mark.parametrize("content", ["{", "[1]", '{"static": 3}', "\xff"])
def test_what_is_damaged_is_told_and_not_written_over(content: str, tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match="move it away"):
        evaluation_file.put(path, "static", {})
    assert path.read_text(encoding="latin-1") == content
