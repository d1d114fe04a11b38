"""`export` from the command line and in one call: what is written, what is said, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest
from cli_commands import Here

import lstm_lm
from lstm_lm.errors import UserError

pytest.importorskip("safetensors", reason="safetensors is not installed: the extra [export]")


@pytest.fixture
def run(trained: Path, own_folder: Path) -> Path:
    """A run in `outputs/run`."""
    [found] = (trained / "outputs").iterdir()
    shutil.copytree(found, own_folder / "outputs" / "run")
    return own_folder


def test_the_newest_run_is_written_beside_it(run: Path, here: Here) -> None:
    said = here("export")
    assert said.status == 0, said.err
    assert said.out == ""
    assert sorted(path.name for path in run.iterdir()) == ["outputs", "run-safetensors"]
    for path in (run / "run-safetensors").iterdir():
        assert f"{path.name}: {path.stat().st_size:,} bytes" in said.err
    assert "tried on 200 tokens" in said.err
    assert "not empty" in here("export").refused()


def test_a_key_of_a_format_needs_no_prefix(run: Path, here: Here) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: the extra [export]")
    said = here("export", "format=onnx", "quantize=int8", "run=run", "out=some where")
    assert said.status == 0, said.err
    assert "nats a token" in said.err
    assert (run / "some where" / "step.onnx").exists()
    assert "format.quantize='int4'" in here("export", "format=onnx", "quantize=int4").refused()
    assert "quantize" in here("export", "quantize=int8").refused()


def test_a_run_that_is_still_training_says_so(run: Path, here: Here) -> None:
    path = run / "outputs" / "run" / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "status": "running"}))
    said = here("export")
    assert said.status == 0, said.err
    assert "has not ended" in said.err


def test_what_is_wrong_is_said_before_any_work(run: Path, here: Here) -> None:
    assert "choose one of" in here("export", "format=tar").refused()
    assert "no folder" in here("export", "out=no/where").refused()
    assert "not empty" in here("export", "out=outputs").refused()
    assert "no such directory" in here("export", "run=elsewhere", "out=new").refused()
    assert "no sweeps" in here("export", "-m").refused()
    assert [path.name for path in run.iterdir()] == ["outputs"]


def test_in_one_call(run: Path) -> None:
    done = lstm_lm.export("outputs/run", out="new")
    assert done.folder == Path("new")
    assert done.files["model.safetensors"] == (run / "new" / "model.safetensors").stat().st_size
    with pytest.raises(UserError, match="has no key 'quantize'"):
        lstm_lm.export("outputs/run", "safetensors", out="other", quantize="int8")
    with pytest.raises(UserError, match="not empty"):
        lstm_lm.export("outputs/run", out="new")
