"""A checkpoint is written whole or not at all, and nothing but a whole, undamaged one is ever loaded."""

import io
import os
import pickle
import random
import struct
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_lm.errors import RunError, UserError
from lstm_lm.runs import atomic, checkpoint_file


def checkpoint(**more: Any) -> dict[str, Any]:
    return {
        "state_dict": OrderedDict({"model.weight": torch.arange(6.0).reshape(2, 3)}),
        "lstm_lm": {"schema_version": 1, "config": {"seed": 1, "data": {"name": "text"}}},
        **more,
    }


def seal(path: Path) -> None:
    """What a forger would do: give any archive a digest that is right."""
    with path.open("rb+") as file:
        checkpoint_file._seal(file)


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        checkpoint_file.load(path)
    message = str(caught.value)
    assert 1 <= len(message.splitlines()) <= 4
    assert str(path) in message.splitlines()[0]
    return message


class Payload:
    """Unpickled carelessly, this creates a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.victim),)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "best.ckpt"
    checkpoint_file.save(checkpoint(), path)
    return path


def test_what_was_saved_is_loaded(saved: Path) -> None:
    loaded = checkpoint_file.load(saved)
    assert torch.equal(loaded["state_dict"]["model.weight"], torch.arange(6.0).reshape(2, 3))
    assert loaded["lstm_lm"] == checkpoint()["lstm_lm"]
    checkpoint_file.verify(saved)


@pytest.mark.parametrize("mmap", [False, True])
def test_torch_alone_can_load_it(saved: Path, mmap: bool) -> None:
    loaded = torch.load(saved, weights_only=True, mmap=mmap)
    assert torch.equal(loaded["state_dict"]["model.weight"], torch.arange(6.0).reshape(2, 3))


def test_any_zip_reader_sees_the_digest(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        assert archive.testzip() is None
        assert archive.comment.startswith(b"lstm-lm sha256:")


def test_the_same_content_gives_the_same_file(saved: Path, tmp_path: Path) -> None:
    checkpoint_file.save(checkpoint(), tmp_path / "again.ckpt")
    assert saved.read_bytes() == (tmp_path / "again.ckpt").read_bytes()


def test_tensors_arrive_where_they_are_asked_for(saved: Path) -> None:
    assert checkpoint_file.load(saved, map_location="meta")["state_dict"]["model.weight"].is_meta


def test_optimizer_and_generator_states_survive(tmp_path: Path) -> None:
    model = torch.nn.LSTM(3, 4, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(2, 1, 3))[0].sum().backward()
    optimizer.step()
    state = {"optimizer_states": [optimizer.state_dict()], "generator": torch.get_rng_state(), "random": (1, None, 2.5)}
    checkpoint_file.save(checkpoint(**state), tmp_path / "a.ckpt")
    loaded = checkpoint_file.load(tmp_path / "a.ckpt")
    assert loaded["random"] == (1, None, 2.5)
    assert torch.equal(loaded["generator"], state["generator"])
    moments, expected = loaded["optimizer_states"][0]["state"][0], optimizer.state_dict()["state"][0]
    assert torch.equal(moments["exp_avg"], expected["exp_avg"])


def test_what_could_not_be_loaded_again_is_not_saved(saved: Path, tmp_path: Path) -> None:
    before = saved.read_bytes()
    for foreign in (tmp_path, {1, 2}, b"bytes", 1j):  # torch would load some of them, and `load` refuses all
        with pytest.raises(TypeError, match="plain values"):
            checkpoint_file.save(checkpoint(foreign=foreign), saved)
    with pytest.raises(ValueError, match="schema_version"):
        checkpoint_file.save({"state_dict": {}}, saved)
    assert saved.read_bytes() == before
    assert list(tmp_path.iterdir()) == [saved]


# What is refused, each with words of its own.


def test_a_missing_file(tmp_path: Path) -> None:
    assert "no such checkpoint" in refusal(tmp_path / "no.ckpt")
    (tmp_path / "file").touch()
    assert "no such checkpoint" in refusal(tmp_path / "file" / "no.ckpt")
    with pytest.raises(checkpoint_file.MissingCheckpoint):
        checkpoint_file.verify(tmp_path / "no.ckpt")


def test_something_that_is_not_a_file(tmp_path: Path) -> None:
    assert "not a file" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "not a file" in refusal(tmp_path / "pipe")


def test_a_path_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a usable path"):
        checkpoint_file.load(Path("a\0b"))
    assert "cannot be read: File name too long" in refusal(tmp_path / ("x" * 300))


@pytest.mark.parametrize("kept", [0, 1, 3, 4, 300, -100, -79, -78, -1])
def test_a_cut_off_file(saved: Path, kept: int) -> None:
    saved.write_bytes(saved.read_bytes()[:kept])
    assert "is cut off" in refusal(saved)


def test_a_flipped_bit_in_a_weight(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    place = data.index(struct.pack("<f", 5.0))
    data[place + 2] ^= 1
    saved.write_bytes(data)
    assert "is damaged" in refusal(saved)


def test_an_upper_case_digit_in_the_digest(saved: Path) -> None:
    data = saved.read_bytes()
    saved.write_bytes(data[:-64] + data[-64:].upper())
    assert "is damaged" in refusal(saved)


def test_a_file_without_a_digest(tmp_path: Path) -> None:
    torch.save(checkpoint(), tmp_path / "plain.ckpt")
    assert "carries no lstm-lm digest" in refusal(tmp_path / "plain.ckpt")


@pytest.mark.parametrize("content", [b"Once upon a time", b"\x89PNG\r\n\x1a\n", b"\x80\xff", b"\x80"])
def test_something_that_is_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.ckpt").write_bytes(content)
    assert "not a checkpoint" in refusal(tmp_path / "a.ckpt")


def test_a_zip_archive_of_something_else_even_with_a_digest(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "carries no lstm-lm digest" in refusal(path)
    seal(path)
    assert "no archive of PyTorch's" in refusal(path)


def test_a_bare_pickle_that_would_run_code(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "a.ckpt"
    path.write_bytes(pickle.dumps(Payload(victim)))
    assert "loading one could run code" in refusal(path)
    assert not victim.exists()
    pickle.loads(path.read_bytes())
    assert victim.exists(), "the payload was real"


@pytest.mark.parametrize("legacy", [False, True])
def test_a_torch_file_that_would_run_code_even_with_a_right_digest(tmp_path: Path, legacy: bool) -> None:
    victim, path = tmp_path / "victim", tmp_path / "a.ckpt"
    torch.save(checkpoint(evil=Payload(victim)), path, _use_new_zipfile_serialization=not legacy)
    if not legacy:
        seal(path)
    assert "could run code" in refusal(path)
    assert not victim.exists()
    torch.load(path, weights_only=False)
    assert victim.exists(), "the payload was real"


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {"state_dict": {}},
        {"lstm_lm": 3},
        {"lstm_lm": {}},
        {"lstm_lm": {"schema_version": "1"}},
        {"lstm_lm": {"schema_version": True}},
        {"lstm_lm": {"schema_version": 0}},
    ],
)
def test_a_checkpoint_of_another_program(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "a.ckpt")
    seal(tmp_path / "a.ckpt")
    assert "not a checkpoint of lstm-lm" in refusal(tmp_path / "a.ckpt")


def test_a_checkpoint_of_a_newer_version(tmp_path: Path) -> None:
    torch.save({"lstm_lm": {"schema_version": 2}}, tmp_path / "a.ckpt")
    seal(tmp_path / "a.ckpt")
    assert "written by a newer lstm-lm (schema version 2" in refusal(tmp_path / "a.ckpt")


def test_a_device_that_is_not_there(saved: Path) -> None:
    with pytest.raises(UserError, match="cannot be loaded onto nonsense"):
        checkpoint_file.load(saved, map_location="nonsense")


def test_a_device_with_too_little_memory_is_not_the_checkpoints_fault(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: Any, **__: Any) -> None:
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(RuntimeError, match="ALLOC_FAILED"):
        checkpoint_file.load(saved)


# Damage at random.


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("damage") / "a.ckpt"
    checkpoint_file.save(checkpoint(), path)
    return path, path.read_bytes()


@settings(max_examples=300)
@given(places=st.dictionaries(st.floats(0, 1, exclude_max=True), st.integers(1, 255), min_size=1, max_size=4))
def test_changed_bytes_are_always_refused(whole: tuple[Path, bytes], places: dict[float, int]) -> None:
    path, data = whole
    changed = bytearray(data)
    for place, difference in places.items():
        changed[int(place * len(data))] ^= difference
    if bytes(changed) == data:  # two changes of one byte that undo each other
        return
    path.write_bytes(changed)
    refusal(path)


@settings(max_examples=200)
@given(kept=st.floats(0, 1, exclude_max=True), junk=st.binary(max_size=100))
def test_cut_off_files_are_always_refused_whatever_follows(whole: tuple[Path, bytes], kept: float, junk: bytes) -> None:
    path, data = whole
    changed = data[: int(kept * len(data))] + junk
    if changed == data:
        return
    path.write_bytes(changed)
    refusal(path)


def test_every_single_bit_of_the_end_record_counts(whole: tuple[Path, bytes]) -> None:
    path, data = whole
    for place in range(len(data) - 79 - 22, len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            refusal(path)


# Saving under difficulties.


def test_a_full_disk_leaves_the_previous_checkpoint_whole(saved: Path, tmp_path: Path) -> None:
    before = saved.read_bytes()
    big = checkpoint(big=torch.zeros(500_000))
    resource = pytest.importorskip("resource")  # Windows has no limit on the size of a file
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (50, 5_000, 1_000_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(RunError) as caught:
                checkpoint_file.save(big, saved)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert str(caught.value).startswith(f"{saved}: cannot be written: File too large\nfree some space")
        assert saved.read_bytes() == before
        assert list(tmp_path.iterdir()) == [saved]
    checkpoint_file.load(saved)


@pytest.mark.linux
def test_a_real_full_device_is_recognised_behind_torchs_own_error() -> None:
    with open("/dev/full", "r+b", buffering=0) as device:
        sink = checkpoint_file._Sink(device)  # type: ignore[arg-type]
        with pytest.raises((OSError, RuntimeError)):
            torch.save(checkpoint(), sink)  # type: ignore[arg-type]
    assert sink.error is not None
    assert "No space left on device" in str(atomic.write_error(Path("a"), sink.error))


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="No such file or directory"):
        checkpoint_file.save(checkpoint(), tmp_path / "gone" / "a.ckpt")


def test_an_interruption_while_saving_leaves_the_previous_checkpoint(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def interrupted(file: io.BufferedRandom) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint_file, "_seal", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoint_file.save(checkpoint(more=1), saved)
    assert saved.read_bytes() == before
    assert list(tmp_path.iterdir()) == [saved]


def test_a_reader_never_sees_a_broken_file_while_a_writer_saves(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    sizes = random.Random(0)

    def save(number: int) -> None:
        values = torch.full((sizes.randrange(1, 50_000),), float(number))
        checkpoint_file.save(checkpoint(number=number, values=values), path)

    save(0)
    seen: list[int] = []
    failures: list[Exception] = []
    done = threading.Event()

    def read_on() -> None:
        while not done.is_set() or seen[-1:] != [20]:
            try:
                loaded = checkpoint_file.load(path)
            except Exception as error:
                failures.append(error)
                return
            assert bool((loaded["values"] == loaded["number"]).all())
            seen.append(loaded["number"])

    reader = threading.Thread(target=read_on)
    reader.start()
    for number in range(1, 21):
        save(number)
    done.set()
    reader.join(60)
    assert not failures
    assert seen == sorted(seen)
    assert seen[-1] == 20
