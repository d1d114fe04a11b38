"""Bytes of a checkpoint that are not what they were: it loads identically, or is refused. Never another model."""

import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from counted import counted, refused_well
from hypothesis import strategies as st

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.runs import checkpoint_file

Keep = Callable[..., None]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, small_text: str, small_overrides: tuple[str, ...]) -> Path:
    """A checkpoint as a run leaves it."""
    folder = tmp_path_factory.mktemp("run")
    text = folder / "small.txt"
    text.write_text(small_text)
    paths = (f"data.path='{text}'", f"data.cache_dir='{folder / 'cache'}'")
    lstm_lm.train(lstm_lm.compose(*small_overrides, *paths, "trainer.max_steps=2"), folder / "run")
    return folder / "run" / "checkpoints" / "last.ckpt"


@st.composite
def changes(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` with a flipped bit, bytes overwritten, cut off, cut out, doubled, or with something appended."""
    at = draw(st.integers(0, len(data) - 1))
    length = draw(st.sampled_from([1, 2, 16, 300]))
    match draw(st.integers(0, 5)):
        case 0:
            return data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :]
        case 1:
            return data[:at] + draw(st.binary(min_size=length, max_size=length)) + data[at + length :]
        case 2:
            return data[:at]
        case 3:
            return data[:at] + data[at + length :]
        case 4:
            return data[:at] + data[at : at + length] + data[at:]
        case _:
            return data + draw(st.binary(min_size=length, max_size=length))


def check(whole: Path, file: Path, examples: int) -> Counter[str]:
    data = whole.read_bytes()
    weights = checkpoint_file.load(whole)["state_dict"]

    def handled(content: bytes) -> str:
        file.write_bytes(content)
        try:
            loaded = checkpoint_file.load(file)
        except UserError as error:
            refused_well(error, lines=2)
            assert str(file) in str(error)
            return "refused"
        assert all(torch.equal(loaded["state_dict"][name], weight) for name, weight in weights.items())
        return "loaded identically"

    return counted(handled, examples, content=changes(data))


def test_changed_bytes_are_refused_in_a_line_or_two(whole: Path, tmp_path: Path) -> None:
    counts = check(whole, tmp_path / "last.ckpt", 300)
    assert counts["refused"] > 250


@pytest.mark.slow
def test_many_changes(whole: Path, tmp_path: Path, keep: Keep) -> None:
    counts = check(whole, tmp_path / "last.ckpt", 20_000)
    keep("checkpoints", tried=counts.total(), refused=counts["refused"], identical=counts["loaded identically"])
    assert counts.total() >= 19_000


class Payload:
    """Runs code when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.proof,)


def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(whole: Path, tmp_path: Path) -> None:
    """With a real payload, a right digest and all: what `torch.load` without weights_only would have executed."""
    proof, hostile = tmp_path / "it ran", tmp_path / "hostile.ckpt"
    checkpoint = torch.load(whole, weights_only=True)
    torch.save(checkpoint | {"payload": Payload(proof)}, hostile)
    torch.load(hostile, weights_only=False)
    assert proof.exists()  # so the payload works
    proof.unlink()
    with hostile.open("rb+") as file:
        checkpoint_file._seal(file)
    with pytest.raises(UserError, match="could run code"):
        checkpoint_file.load(hostile)
    with pytest.raises(UserError, match="could run code"):
        lstm_lm.load(ckpt_path=hostile)
    hostile.write_bytes(pickle.dumps(Payload(proof)))
    with pytest.raises(UserError, match="a bare Python pickle"):
        checkpoint_file.load(hostile)
    assert not proof.exists()
