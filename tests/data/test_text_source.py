import codecs
import hashlib
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_lm.data import checksums, text_source
from lstm_lm.data.checksums import ChecksumMemory, sha256_of
from lstm_lm.data.text_source import CharacterRange, FileText, StringText
from lstm_lm.errors import UserError

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def written(folder: Path, **files: bytes) -> list[Path]:
    paths = [folder / f"{name}.txt" for name in files]
    for path, content in zip(paths, files.values(), strict=True):
        path.write_bytes(content)
    return paths


def whole(*paths: Path, encoding: str = "utf-8") -> str:
    return "".join(FileText(paths, encoding).pieces())


def refusal(*paths: Path, encoding: str = "utf-8") -> str:
    with pytest.raises(UserError) as caught:
        whole(*paths, encoding=encoding)
    assert len(str(caught.value).splitlines()) <= 4
    return str(caught.value)


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(text_source, "PIECE_BYTES", 3)


class TestFileText:
    def test_newlines_stay_as_they_are(self, tmp_path):
        assert whole(*written(tmp_path, a=b"one\r\ntwo\rthree\n")) == "one\r\ntwo\rthree\n"

    def test_a_byte_order_mark_is_not_text(self, tmp_path):
        assert (
            whole(*written(tmp_path, a=codecs.BOM_UTF8 + b"first\n", b=codecs.BOM_UTF8 + b"second")) == "first\nsecond"
        )

    def test_a_mark_elsewhere_is(self, tmp_path):
        assert whole(*written(tmp_path, a="x\ufeffy".encode())) == "x\ufeffy"

    def test_files_are_joined_in_sorted_order_with_a_newline_between(self, tmp_path):
        a, b, c = written(tmp_path, a=b"1", b=b"2\n", c=b"3")
        assert whole(c, a, b, a) == "1\n2\n3"

    def test_an_empty_file_among_others_adds_nothing(self, tmp_path):
        assert whole(*written(tmp_path, a=b"1", b=b"", c=b"3")) == "1\n3"

    def test_each_call_is_a_pass_of_its_own(self, tmp_path):
        source = FileText(written(tmp_path, a=b"text"), "utf-8")
        first, second = source.pieces(), source.pieces()
        assert next(first) == next(second) == "text"

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32", "latin-1", "shift_jis"])
    def test_characters_cut_by_a_piece_are_put_together(self, tmp_path, small_pieces, encoding):
        text = (
            "naïve €50 \U0001f600 漢字"
            if encoding.startswith("utf")
            else "caf\xe9"
            if encoding == "latin-1"
            else "漢字かな"
        )
        assert whole(*written(tmp_path, a=text.encode(encoding)), encoding=encoding) == text

    def test_text_that_is_not_utf8_is_refused_with_the_offset_and_the_way_out(self, tmp_path, small_pieces):
        for prefix in (b"", b"1234567", "漢字".encode(), codecs.BOM_UTF8, codecs.BOM_UTF8 + b"12345"):
            (path,) = written(tmp_path, a=prefix + b"caf\xe9 au lait")
            message = refusal(path)
            assert f"{path}: not utf-8 at byte offset {len(prefix) + 3} (0xe9" in message
            assert "data.encoding=latin-1" in message
            assert "iconv" in message

    def test_a_character_cut_off_by_the_end_is_refused_at_its_start(self, tmp_path, small_pieces):
        assert "byte offset 4" in refusal(*written(tmp_path, a=b"1234" + "€".encode()[:2]))

    @settings(deadline=None)  # it waits for the disk
    @given(TEXT, st.sampled_from([b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\x80"]), TEXT)
    def test_the_offset_is_the_one_that_decoding_at_once_gives(self, tmp_path_factory, before, wrong, after):
        content = b"x" + before.encode() + wrong + after.encode()
        (path,) = written(tmp_path_factory.mktemp("text"), a=content)
        with pytest.raises(UnicodeDecodeError) as expected:
            content.decode()
        assert f"not utf-8 at byte offset {expected.value.start} " in refusal(path)

    def test_utf16_is_recognised(self, tmp_path):
        (path,) = written(tmp_path, a="text".encode("utf-16"))
        assert "data.encoding=utf-16" in refusal(path)
        assert whole(path, encoding="utf-16") == "text"

    @pytest.mark.parametrize(
        ("content", "offset"), [(b"text\0more", 4), (b"\x89PNG\r\n\x1a\n\0\0\0", 0), ("é\0".encode(), 2)]
    )
    def test_a_binary_file_is_refused(self, tmp_path, content, offset):
        (path,) = written(tmp_path, a=content)
        assert refusal(path).startswith(f"{path}: not a text file")
        assert f"byte offset {offset})" in refusal(path)

    def test_an_empty_text_is_refused(self, tmp_path):
        assert "the text is empty" in refusal(*written(tmp_path, a=b"", b=b""))

    def test_a_missing_file_is_refused(self, tmp_path):
        assert "cannot be read: No such file" in refusal(tmp_path / "none.txt")

    def test_a_folder_is_refused(self, tmp_path):
        assert "not a regular file" in refusal(tmp_path)

    def test_a_name_that_no_file_can_have_is_refused(self, tmp_path):
        assert "cannot be read" in refusal(tmp_path / "a\0b")

    def test_a_file_that_may_not_be_read_is_refused(self, tmp_path, monkeypatch):
        (path,) = written(tmp_path, a=b"text")

        def refused(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "open", refused)  # not by chmod: the superuser reads everything
        assert refusal(path).startswith(f"{path}: cannot be read: Permission denied")

    def test_a_file_that_changes_while_it_is_read_is_refused(self, tmp_path):
        (path,) = written(tmp_path, a=b"text")
        source = FileText([path], "utf-8")
        path.write_bytes(b"longer text")
        with pytest.raises(UserError, match="changed while it was being read"):
            list(source.pieces())

    def test_memory_does_not_grow_with_the_text(self, tmp_path):
        (path,) = written(tmp_path, a=b"0123456789abcde\n" * (1 << 20))  # 16 MiB
        source = FileText([path], "utf-8")
        tracemalloc.start()
        assert source.characters() == 1 << 24
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.stop()

    def test_the_checksum_of_one_utf8_file_is_that_of_its_bytes(self, tmp_path):
        assert FileText(written(tmp_path, a=b"text"), "UTF8").checksum() == hashlib.sha256(b"text").hexdigest()

    def test_the_checksum_tells_encodings_files_and_contents_apart(self, tmp_path):
        a, b = written(tmp_path, a=b"1", b=b"2")
        digests = [FileText([a], "utf-8"), FileText([a], "latin-1"), FileText([b], "utf-8"), FileText([a, b], "utf-8")]
        assert len({digest.checksum() for digest in digests}) == 4
        assert FileText([b, a], "utf-8").checksum() == FileText([a, b], "utf-8").checksum()


class TestChecksumMemory:
    @pytest.fixture(autouse=True)
    def _every_file_is_large(self, monkeypatch):
        monkeypatch.setattr(checksums, "LARGE_BYTES", 1)

    @pytest.fixture
    def reads(self, monkeypatch):
        """The files that were really hashed."""
        seen: list[Path] = []
        monkeypatch.setattr(checksums, "sha256_of", lambda path: seen.append(path) or sha256_of(path))
        return seen

    def old_file(self, folder: Path, content: bytes) -> Path:
        (path,) = written(folder, a=content)
        os.utime(path, (1_000_000_000, 1_000_000_000))
        return path

    def test_a_file_is_hashed_once(self, tmp_path, reads):
        path = self.old_file(tmp_path, b"text")
        for _ in range(3):
            assert ChecksumMemory(tmp_path / "notes").sha256(path) == hashlib.sha256(b"text").hexdigest()
        assert reads == [path]

    def test_a_changed_file_is_hashed_again(self, tmp_path, reads):
        memory = ChecksumMemory(tmp_path / "notes")
        memory.sha256(self.old_file(tmp_path, b"text"))
        (path,) = written(tmp_path, a=b"TEXT")
        assert memory.sha256(path) == hashlib.sha256(b"TEXT").hexdigest()

    def test_a_file_that_has_just_changed_is_not_remembered(self, tmp_path, reads):
        (path,) = written(tmp_path, a=b"text")
        for _ in range(2):
            ChecksumMemory(tmp_path / "notes").sha256(path)
        assert len(reads) == 2

    @pytest.mark.parametrize("note", [b"", b"{", b"[]", b"\xff", b'{"sha256": "no"}'])
    def test_a_damaged_note_is_ignored(self, tmp_path, note):
        path, memory = self.old_file(tmp_path, b"text"), ChecksumMemory(tmp_path / "notes")
        memory.sha256(path)
        (file,) = (tmp_path / "notes").iterdir()
        file.write_bytes(note)
        assert memory.sha256(path) == hashlib.sha256(b"text").hexdigest()

    def test_a_folder_that_cannot_be_written_is_no_reason_to_stop(self, tmp_path):
        (tmp_path / "notes").write_text("in the way")
        path = self.old_file(tmp_path, b"text")
        assert ChecksumMemory(tmp_path / "notes").sha256(path) == hashlib.sha256(b"text").hexdigest()


class TestRangesAndStrings:
    @given(TEXT, st.integers(0, 30), st.integers(0, 30), st.integers(1, 5))
    def test_a_range_is_a_slice(self, text, start, stop, size):
        pieces = StringText(text, "text")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(text_source, "PIECE_BYTES", size)
            assert "".join(pieces.pieces()) == text
            assert "".join(CharacterRange(pieces, start, stop).pieces()) == text[start:stop]

    def test_ranges_have_checksums_of_their_own(self):
        source = StringText("some text", "text")
        assert len({CharacterRange(source, *bounds).checksum() for bounds in [(0, 1), (0, 2), (1, 2)]}) == 3
        assert source.checksum() == hashlib.sha256(b"some text").hexdigest()
