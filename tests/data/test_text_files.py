import codecs
import hashlib
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_lm.data import text_files
from lstm_lm.data.text_files import FileText
from lstm_lm.data.text_source import CharacterRange
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


def refusal_or_none(path: Path, encoding: str) -> str | None:
    """The text may be readable in an encoding that it is not in."""
    try:
        whole(path, encoding=encoding)
    except UserError:
        return refusal(path, encoding=encoding)
    return None


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(text_files, "PIECE_BYTES", 3)


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

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-8-sig"])
    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    def test_a_byte_order_mark_is_no_text_in_any_encoding(self, tmp_path, small_pieces, encoding, mark):
        written_as = "utf-8" if encoding == "utf-8-sig" else encoding
        paths = written(tmp_path, a=f"{mark}one\ufeff".encode(written_as), b=f"{mark}two".encode(written_as))
        assert whole(*paths, encoding=encoding) == "one\ufeff\ntwo"

    @pytest.mark.parametrize(
        ("mark", "right", "wrong"),
        [
            (codecs.BOM_UTF8, "utf-8", ["latin-1", "cp1252", "utf-16", "utf-16-le", "shift_jis"]),
            (codecs.BOM_UTF16_LE, "utf-16", ["utf-8", "latin-1", "utf-16-be", "utf-32"]),
            (codecs.BOM_UTF16_BE, "utf-16", ["utf-8", "cp1252", "utf-16-le"]),
            (codecs.BOM_UTF32_LE, "utf-32", ["utf-8", "utf-16", "utf-16-le", "utf-32-be"]),
            (codecs.BOM_UTF32_BE, "utf-32", ["utf-8", "latin-1", "utf-32-le"]),
        ],
    )
    def test_a_mark_says_which_encoding_it_is(self, tmp_path, mark, right, wrong):
        order = {codecs.BOM_UTF16_LE: "-le", codecs.BOM_UTF16_BE: "-be", codecs.BOM_UTF32_LE: "-le"}
        exact = right + (order.get(mark, "-be") if right != "utf-8" else "")
        (path,) = written(tmp_path, a=mark + "\u6f22\u5b57".encode(exact))  # no zero byte in UTF-16
        assert whole(path, encoding=right) == whole(path, encoding=exact) == "\u6f22\u5b57"
        for encoding in wrong:
            assert f"data.encoding={right}" in refusal(path, encoding=encoding).splitlines()[-1]

    @pytest.mark.parametrize("exact", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
    def test_without_a_mark_the_byte_order_is_told_and_what_is_advised_works(self, tmp_path, exact):
        (path,) = written(tmp_path, a="It was a caf\xe9, at night.\n".encode(exact))
        for encoding in ("utf-8", "latin-1", exact[:6]):
            if whole_or_refusal := refusal_or_none(path, encoding):
                assert f"data.encoding={exact}" in whole_or_refusal

    def test_utf16_without_a_mark_and_without_zeros_is_refused_with_both_orders(self, tmp_path):
        (path,) = written(tmp_path, a="\u6f22\u6587\u6587".encode("utf-16-le"))
        message = refusal(path, encoding="utf-16")
        assert "utf-16-le" in message
        assert "utf-16-be" in message

    @pytest.mark.parametrize("encoding", ["utf-16", "ascii"])
    def test_what_is_utf8_after_all_is_said_to_be(self, tmp_path, encoding):
        (path,) = written(tmp_path, a="It was a caf\xe9 \u2014 at night".encode())
        assert "data.encoding=utf-8" in refusal(path, encoding=encoding)

    def test_quotes_of_windows_are_not_taken_for_latin_1(self, tmp_path):
        text = "He said \u201cyes\u201d \u2013 caf\xe9, 5 \u20ac; and much more was said about it than this"
        (path,) = written(tmp_path, a=text.encode("cp1252"))
        assert "data.encoding=cp1252" in refusal(path)
        assert whole(path, encoding="cp1252") == text

    @pytest.mark.parametrize("encoding", ["shift_jis", "cp1251", "gb18030"])
    def test_a_text_that_is_not_western_is_not_said_to_be(self, tmp_path, encoding):
        text = "\u043d\u043e\u0447\u044c" if encoding == "cp1251" else "\u6f22\u5b57\u306e\u6587"
        (path,) = written(tmp_path, a=(text * 20).encode(encoding))
        message = refusal(path)
        assert "latin-1" not in message
        assert "cp1252" not in message

    @pytest.mark.parametrize("encoding", ["utf-7", "idna", "punycode", "utf-16", "utf-32", "cp1252", "ascii", "cp037"])
    def test_no_bytes_are_a_traceback_in_any_encoding(self, tmp_path, encoding):
        for content in (bytes(range(1, 256)), b"a..b" * 40, b"-" * 50, b"\xd8\x00" * 7, b"+2AD-"):
            (path,) = written(tmp_path, a=content)
            refusal_or_none(path, encoding)

    def test_utf16_is_recognised(self, tmp_path):
        (path,) = written(tmp_path, a="text".encode("utf-16"))
        assert "data.encoding=utf-16" in refusal(path)
        assert whole(path, encoding="utf-16") == "text"

    @pytest.mark.parametrize(
        ("content", "offset"), [(b"text\0more", 4), (b"\xfe\xed\xfa\xce\0\0\0", 0), ("é\0".encode(), 2)]
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

    @pytest.mark.parametrize("other", [b"longer text", b"TEXT", b""])
    def test_every_pass_reads_what_the_first_one_read_or_is_refused(self, tmp_path, other):
        (path,) = written(tmp_path, a=b"text")
        for first in (FileText.checksum, FileText.characters, FileText.digests):
            path.write_bytes(b"text")
            source = FileText([path], "utf-8")
            first(source)
            path.write_bytes(other)
            os.utime(path, (1_000_000_000, 1_000_000_000))
            with pytest.raises(UserError, match="changed while it was being read"):
                list(source.pieces())
            assert source.checksum() == hashlib.sha256(b"text").hexdigest()

    def test_a_part_of_a_text_that_changes_after_that_part_is_refused_too(self, tmp_path):
        (path,) = written(tmp_path, a=b"0123456789")
        source = FileText([path], "utf-8")
        source.checksum()
        path.write_bytes(b"01234567XY")
        with pytest.raises(UserError, match="changed while it was being read"):
            list(CharacterRange(source, 0, 5).pieces())

    def test_a_file_that_changes_during_the_only_pass_is_refused(self, tmp_path, small_pieces):
        (path,) = written(tmp_path, a=b"0123456789")
        pieces = FileText([path], "utf-8").pieces()
        next(pieces)
        path.write_bytes(b"9876543210")
        os.utime(path, (1_000_000_000, 1_000_000_000))
        with pytest.raises(UserError, match="changed while it was being read"):
            list(pieces)

    def test_a_file_of_several_that_changes_is_named(self, tmp_path):
        a, b = written(tmp_path, a=b"1", b=b"2")
        source = FileText([a, b], "utf-8")
        source.checksum()
        b.write_bytes(b"3")
        with pytest.raises(UserError, match=r"b\.txt: changed"):
            list(source.pieces())

    def test_a_file_that_is_replaced_by_the_same_bytes_is_the_same_text(self, tmp_path):
        (path,) = written(tmp_path, a=b"text")
        source = FileText([path], "utf-8")
        source.checksum()
        path.unlink()
        path.write_bytes(b"text")
        assert "".join(source.pieces()) == "text"

    def test_a_file_under_two_names_is_read_once(self, tmp_path):
        a, b = written(tmp_path, a=b"1", b=b"2")
        os.link(a, tmp_path / "hard.txt")
        (tmp_path / "soft.txt").symlink_to(b)
        assert whole(a, tmp_path / "hard.txt", b, tmp_path / "soft.txt", Path(os.path.relpath(a))) == "1\n2"

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
