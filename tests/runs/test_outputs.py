"""A file that a user names to be written: nothing else's is replaced, unasked or at all."""

import os
import socket
from pathlib import Path

import pytest

from lstm_lm.errors import RunError, UserError
from lstm_lm.runs import atomic
from lstm_lm.runs.outputs import claim_output


def claim(path: Path, *inputs: Path, overwrite: bool = True) -> None:
    claim_output(path, "out", ".npy", overwrite=overwrite, inputs=inputs)


def refusal(path: Path, *inputs: Path, overwrite: bool = True) -> str:
    with pytest.raises(UserError) as caught:
        claim(path, *inputs, overwrite=overwrite)
    return str(caught.value)


def test_a_new_file_is_fine_and_one_that_is_there_needs_to_be_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.NPY"
    claim(path, overwrite=False)
    path.touch()
    assert "overwrite=true" in refusal(path, overwrite=False)
    claim(path)


@pytest.mark.parametrize("name", ["best.ckpt", "a.txt", "a.npy.txt", "a", ".npy"])
def test_another_ending(name: str, tmp_path: Path) -> None:
    assert "must end in .npy" in refusal(tmp_path / name)


def test_a_folder_or_none(tmp_path: Path) -> None:
    (tmp_path / "a.npy").mkdir()
    assert "a folder" in refusal(tmp_path / "a.npy")
    assert "there is no folder" in refusal(tmp_path / "none" / "a.npy")
    assert "not a usable path" in refusal(tmp_path / f"{'a' * 300}.npy")


@pytest.mark.posix
def test_what_is_no_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link.npy").symlink_to("nothing.npy")
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "device.npy").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tmp_path)  # the path of a socket must be short
        listening.bind("socket.npy")
        for name in ("link", "pipe", "device", "socket"):
            assert "name another file" in refusal(tmp_path / f"{name}.npy")


def test_what_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("text")
    (tmp_path / "a.npy").hardlink_to(text)
    assert "what this command reads" in refusal(tmp_path / "a.npy", tmp_path / "none", text)
    assert "what this command reads" in refusal(tmp_path / ".." / tmp_path.name / "a.npy", text)


@pytest.mark.parametrize("links", [True, False])
def test_what_has_come_there_meanwhile_stays(links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:

        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "a.npy"
    atomic.write_bytes(path, b"first", new=True)
    assert path.read_bytes() == b"first"
    with pytest.raises(RunError, match="File exists"), atomic.replacing(path, new=True) as file:
        file.write(b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.posix
def test_a_link_that_has_come_there_meanwhile_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    path = tmp_path / "a.npy"
    with atomic.replacing(path) as file:
        file.write(b"vectors")
        path.symlink_to("mine")
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert path.read_bytes() == b"vectors"
