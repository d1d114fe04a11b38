"""Compressed files are the text that was packed, bit for bit; what is damaged, cut off or no text is refused."""

import bz2
import gzip
import io
import lzma
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.data import packed
from lstm_lm.data.module import TextDataModule
from lstm_lm.data.packed import MOST_AT_ONCE, packing_of, unpacked
from lstm_lm.data.piped_text import PipedText
from lstm_lm.data.text_files import FileText
from lstm_lm.data.text_paths import text_at
from lstm_lm.errors import UserError

TEXT = "".join(f"line {number} with é and \U0001d11e\r\n" for number in range(2_000)).encode()


def zstd(data: bytes) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd as library

        return library.compress(data)
    import zstandard

    return zstandard.ZstdCompressor().compress(data)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": zstd,
}
PACKED = {ending: pack(TEXT) for ending, pack in PACKERS.items()}
every_packing = pytest.mark.parametrize("ending", sorted(PACKERS))


def test_every_ending_is_tried() -> None:
    assert sorted(PACKERS) == sorted(packed.SUFFIXES)


@every_packing
def test_the_text_is_what_was_packed(tmp_path: Path, ending: str) -> None:
    pack = PACKERS[ending]
    several = pack(TEXT[:999]) + pack(TEXT[999:])
    for name, data in {"one": PACKED[ending], "several": several, "filled": PACKED[ending] + bytes(99)}.items():
        path = tmp_path / f"{name}.txt{ending}"
        path.write_bytes(data)
        assert "".join(FileText([path], "utf-8").pieces()) == TEXT.decode(), name
        assert "".join(PipedText(io.BytesIO(data), "utf-8").pieces()) == TEXT.decode(), name  # type: ignore[arg-type]


@every_packing
def test_tokens_are_those_of_the_plain_text(section, tmp_path: Path, ending: str) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "plain.txt").write_bytes(TEXT)
    (tmp_path / f"packed.txt{ending}").write_bytes(PACKED[ending])

    def tokens(name: str) -> list[list[int]]:
        data = TextDataModule(section("text", path=str(tmp_path / name)), {"name": "char"}, seed=1)
        data.prepare()
        return [data.tokens(split).tolist() for split in data.manifest.splits]

    assert tokens("plain.txt") == tokens(f"packed.txt{ending}")


@every_packing
@given(cut=st.integers(1, 4_000), size=st.integers(1, 5000))
def test_what_is_cut_off_or_damaged_is_refused(ending: str, cut: int, size: int) -> None:
    data = PACKED[ending]
    short = data[: max(12, len(data) - cut)]
    chunks = [short[at : at + size] for at in range(0, len(short), size)]
    packing = packing_of(data)
    assert packing is not None
    with pytest.raises(UserError, match="cut off"):
        list(unpacked(chunks, packing, "a file"))
    damaged = bytearray(data)
    for at in range(len(data) // 2, len(data) // 2 + 20):
        damaged[at] ^= 0xFF
    found: list[bytes] = []
    with suppress(UserError):
        found.extend(unpacked([bytes(damaged)], packing, "a file"))
    assert not found or ending == ".zst", "which has no checksum unless it is asked for"


@every_packing
def test_nothing_is_held_of_what_comes_out_of_a_small_file(ending: str) -> None:
    """40 MB of zeros in a few kB: a part of them at a time."""
    data = PACKERS[ending](bytes(40 << 20))
    packing = packing_of(data)
    assert packing is not None
    tracemalloc.start()
    sizes = [len(piece) for piece in unpacked([data], packing, "a file")]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(sizes) == 40 << 20
    assert peak < 24 << 20
    assert ending == ".zst" or max(sizes) <= MOST_AT_ONCE


@every_packing
def test_what_is_no_text_when_it_is_unpacked_is_called_what_it_is(tmp_path: Path, ending: str) -> None:
    for content, told in ((b"\x89PNG\r\n\x1a\n" + bytes(900), "a PNG picture"), (b"abc\0def", "not a text file")):
        path = tmp_path / f"a{ending}"
        path.write_bytes(PACKERS[ending](content))
        with pytest.raises(UserError, match=told):
            list(FileText([path], "utf-8").pieces())


@every_packing
def test_what_has_nothing_packed_in_it_is_empty(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(PACKERS[ending](b""))
    with pytest.raises(UserError, match="empty"):
        FileText([path], "utf-8")


def test_a_folder_has_them_too_and_a_name_alone_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt.xz").write_bytes(lzma.compress(b"one"))
    (tmp_path / "b.txt.gz").write_bytes(b"plain, whatever it is called")
    (tmp_path / "c.jpg.gz").write_bytes(gzip.compress(b"not looked for"))
    text = text_at(str(tmp_path), "utf-8", tmp_path)
    assert "".join(text.pieces()) == "one\nplain, whatever it is called"


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this Python reads Zstandard by itself")
def test_a_missing_package_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt.zst"
    path.write_bytes(zstd(TEXT))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(UserError) as refused:
        FileText([path], "utf-8")
    assert "lstm-lm[zst]" in str(refused.value)


@pytest.mark.linux
def test_memory_is_flat(tmp_path: Path) -> None:
    """A process reads 4 and 64 MiB of text out of packed files, and is as large after either."""
    program = (
        "import sys; from pathlib import Path; from lstm_lm.data.text_files import FileText\n"
        "print(FileText([Path(sys.argv[1])], 'utf-8').characters())\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    peaks = []
    block = gzip.compress(np.random.default_rng(1).integers(97, 123, 1 << 20, np.uint8).tobytes(), 1)
    for size in (4 << 20, 64 << 20):
        (tmp_path / f"{size}.gz").write_bytes(block * (size >> 20))
        command = [sys.executable, "-c", program, str(tmp_path / f"{size}.gz")]
        characters, peak = map(int, subprocess.run(command, capture_output=True, check=True, text=True).stdout.split())
        assert characters == size
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 16 << 10, "KiB"
