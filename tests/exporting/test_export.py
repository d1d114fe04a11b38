"""Whatever the format: a folder is there once its files have computed what the model does, or not at all."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from drawn_models import drawn

from lstm_lm.errors import RunError, UserError
from lstm_lm.exporting.comparison import TOKENS, cost, logits, written
from lstm_lm.exporting.export import export
from lstm_lm.exporting.formats.interface import Format, Logits
from lstm_lm.models.interface import LanguageModel
from lstm_lm.models.loading import Loaded


class MadeUp(Format):
    """Writes a file, and computes as the model does, `off` by so much."""

    name: str = "made_up"
    off: str = "0"

    def write(self, loaded: Loaded, model: LanguageModel, folder: Path) -> list[str]:
        (folder / "weights").write_bytes(b"1234")
        return ["said"]

    def computed(self, folder: Path, tokens: Any) -> Mapping[str, Logits]:
        assert (folder / "weights").read_bytes() == b"1234"
        found = logits(drawn().model, tokens)
        found[-1, 0] += float(self.off)
        return {"weights": found}


def test_what_computes_the_same_is_kept(tmp_path: Path) -> None:
    done = export(drawn(), MadeUp(), tmp_path / "out")
    assert done.files == {"weights": 4}
    assert done.told == ("said",)
    assert done.comparison.difference == 0
    assert done.comparison.tokens == TOKENS == 200
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("off", ["0.01", "nan", "inf"])
def test_what_computes_something_else_leaves_nothing(tmp_path: Path, off: str) -> None:
    with pytest.raises(RunError, match="weights: computes something else"):
        export(drawn(), MadeUp(off=off), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_current_folder_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="that this runs in"):
        export(drawn(), MadeUp(), Path("."))
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_is_taken_and_any_other_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    export(drawn(), MadeUp(), tmp_path / "empty")
    with pytest.raises(UserError, match="not empty"):
        export(drawn(), MadeUp(), tmp_path / "empty")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="no folder"):
        export(drawn(), MadeUp(), tmp_path / "file")
    with pytest.raises(UserError, match="there is no folder"):
        export(drawn(), MadeUp(), tmp_path / "no" / "where")
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "file"}


def test_what_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: MadeUp, loaded: Loaded, model: LanguageModel, folder: Path) -> list[str]:
        (folder / "weights").write_bytes(b"12")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MadeUp, "write", full)
    with pytest.raises(RunError, match="free some space"):
        export(drawn(), MadeUp(), tmp_path / "out")
    assert not list(tmp_path.iterdir())


class OnePage(MadeUp):
    """A format that is one file."""

    ending: ClassVar[str | None] = ".html"


def test_a_file_that_has_come_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.html"
    link = os.link

    def too_late(source: Path, target: Path) -> None:
        out.write_bytes(b"another's")
        link(source, target)

    monkeypatch.setattr(os, "link", too_late)
    with pytest.raises(UserError, match="already"):
        export(drawn(), OnePage(), out)
    assert out.read_bytes() == b"another's"
    monkeypatch.undo()
    out.unlink()
    export(drawn(), OnePage(), out)
    assert out.read_bytes() == b"1234"
    assert [*tmp_path.iterdir()] == [out]


def test_weights_that_have_diverged_are_no_fault_of_the_export(tmp_path: Path) -> None:
    loaded = drawn()
    with torch.no_grad():
        loaded.model.get_parameter("head.bias")[0] = float("nan")
    with pytest.raises(RunError, match="diverged"):
        export(loaded, MadeUp(), tmp_path / "out")


def test_missing_packages_are_named_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MadeUp, "packages", ("json", "no_such_package"))
    with pytest.raises(UserError, match=r"not installed here: no_such_package\n.*\[export\]"):
        export(drawn(), MadeUp(), tmp_path / "out")


def test_an_autoencoder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="reconstruction"):
        export(drawn("autoencoder"), MadeUp(), tmp_path / "out")


def test_the_model_writes_what_files_are_tried_on() -> None:
    model = drawn().model
    with torch.no_grad():
        model.get_parameter("head.bias")[3] = 100.0
    tokens = written(model, 9)
    assert tokens.dtype == np.int64
    assert tokens[1:].tolist() == [3] * 8


def test_the_cost_of_other_predictions_is_in_nats() -> None:
    own, other = np.log([[0.5, 0.5], [1.0, 1e-30]]), np.log([[0.9, 0.1], [0.25, 0.75]])
    expected = (0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1) + np.log(4)) / 2
    assert cost(own.astype(np.float32), other.astype(np.float32)) == pytest.approx(expected, rel=1e-5)
