import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_lm.data import token_store
from lstm_lm.data.corpora.interface import CorpusText
from lstm_lm.data.makers import only_maker
from lstm_lm.data.manifest import Manifest, smallest_dtype
from lstm_lm.data.text_files import FileText
from lstm_lm.data.text_source import StringText
from lstm_lm.data.token_store import EncodedCorpus, encoded
from lstm_lm.errors import RunError, UserError
from lstm_lm.tokenizers import Tokenizer, tokenizer_class

TEXT = "The naïve cat sat on the mat — 漢字. " * 40


def kind(name: str, **options: Any) -> tuple[type[Tokenizer], Any]:
    tokenizer = tokenizer_class(name)
    return tokenizer, tokenizer.OptionsType.parse({"name": name, **options}, "tokenizer")


def corpus(text: str = TEXT, **fractions: float) -> CorpusText:
    return CorpusText("text", {"train": StringText(text, "my text")}, fractions or {"validation": 0.2, "test": 0.1})


class Unreadable(StringText):
    """A text of which everything is known but what it says."""

    def pieces(self) -> Iterator[str]:
        raise AssertionError("the text was read")


def store(folder: Path, **how: Any) -> EncodedCorpus:
    return encoded(
        how.get("corpus", corpus()), how.get("tokenizer", kind("char")), how.get("unknown", "error"), folder / "cache"
    )


def left_behind(folder: Path) -> list[str]:
    return [path.name for path in (folder / "cache/tokens").iterdir()]


class TestWhatIsStored:
    @pytest.mark.parametrize("name", ["char", "byte"])
    def test_the_tokens_are_the_text(self, tmp_path, name):
        entry = store(tmp_path, tokenizer=kind(name))
        assert list(entry.manifest.splits) == ["train", "validation", "test"]
        ids = np.concatenate([entry.tokens(split) for split in entry.manifest.splits])
        assert entry.tokenizer.decode(ids.tolist()) == TEXT
        assert isinstance(entry.tokens("train"), np.memmap)
        assert not entry.tokens("train").flags.writeable

    def test_the_manifest_counts_what_is_there(self, tmp_path):
        manifest = store(tmp_path).manifest
        for split in manifest.splits.values():
            text = TEXT[split.start : split.stop]
            assert (split.tokens, split.characters, split.bytes) == (len(text), len(text), len(text.encode()))
            assert split.replaced == 0
        assert manifest.sources == {"train": StringText(TEXT, "").checksum()}
        assert manifest.vocabulary_size == len(set(TEXT))
        assert (manifest.corpus, manifest.tokenizer, manifest.dtype, manifest.unknown) == (
            "text",
            "char",
            "uint8",
            "error",
        )

    @pytest.mark.parametrize(
        ("size", "dtype"), [(1, "uint8"), (256, "uint8"), (257, "uint16"), (65536, "uint16"), (65537, "uint32")]
    )
    def test_the_type_is_the_smallest_that_holds_every_id(self, size, dtype):
        assert smallest_dtype(size) == dtype
        assert np.iinfo(dtype).max >= size - 1

    def test_a_large_alphabet_takes_two_bytes_a_token(self, tmp_path):
        text = "".join(map(chr, range(0x100, 0x300)))
        entry = store(tmp_path, corpus=corpus(text))
        assert entry.manifest.dtype == "uint16"
        assert entry.tokens("train").tolist() == list(range(int(512 * (1 - 0.2 - 0.1))))

    def test_a_split_without_text_has_no_tokens(self, tmp_path):
        entry = store(tmp_path, corpus=corpus("abc", validation=0.1, test=0.1))
        assert entry.tokens("train").tolist() == [0, 1]
        assert entry.manifest.splits["validation"].tokens == 0
        assert entry.tokens("validation").tolist() == []


class TestUnknownText:
    """A tokenizer that was fitted on other text, as after `init_from`."""

    def fitted(self, tmp_path: Path, name: str = "char", **options: Any) -> Tokenizer:
        known = CorpusText("text", {"train": StringText("abc abc abc abc ", "known")})
        return store(tmp_path, corpus=known, tokenizer=kind(name, **options)).tokenizer

    def test_it_is_refused_by_name(self, tmp_path):
        with pytest.raises(UserError) as caught:
            store(tmp_path, tokenizer=self.fitted(tmp_path), corpus=corpus("abc xyz"))
        message = str(caught.value)
        assert message.startswith("my text")
        assert "'x' (U+0078)" in message
        assert "data.unknown=skip" in message
        assert len(message.splitlines()) <= 4
        assert len(left_behind(tmp_path)) == 1  # the entry of the known text

    @pytest.mark.parametrize(("unknown", "expected"), [("skip", [1, 3]), ("replace", [1, 3, 0, 0])])
    def test_it_is_left_out_or_replaced_and_counted(self, tmp_path, unknown, expected):
        entry = store(tmp_path, tokenizer=self.fitted(tmp_path), corpus=corpus("acXY", validation=0.0), unknown=unknown)
        assert entry.tokens("train").tolist() == expected
        assert entry.manifest.splits["train"].replaced == 2
        assert entry.manifest.unknown == unknown

    def test_words_are_replaced_whatever_the_option_says(self, tmp_path):
        words = self.fitted(tmp_path, "word", vocabulary_size=10, min_frequency=2)
        entry = store(tmp_path, tokenizer=words, corpus=corpus(" abc xyz abc", validation=0.0), unknown="error")
        assert entry.manifest.splits["train"].replaced == 1
        assert entry.manifest.unknown == "replace"

    def test_it_is_learnt_where_the_tokenizer_is_to_grow(self, tmp_path, monkeypatch):
        old, (_, options) = self.fitted(tmp_path), kind("char")
        entry = store(tmp_path, tokenizer=(old, options), corpus=corpus("acXY" * 10))
        assert entry.tokenizer.to_json()["alphabet"] == " abcXY"
        assert entry.tokens("train").tolist()[:4] == [1, 3, 4, 5]
        assert entry.manifest.splits["train"].replaced == 0
        assert entry.folder != store(tmp_path, corpus=corpus("acXY" * 10)).folder
        monkeypatch.setattr(token_store, "_build", None)  # building would fail
        assert store(tmp_path, tokenizer=(old, options), corpus=corpus("acXY" * 10)).folder == entry.folder


class TestCache:
    def test_the_second_time_nothing_is_read(self, tmp_path, monkeypatch):
        first = store(tmp_path)
        monkeypatch.setattr(token_store, "_build", None)  # building would fail
        text = Unreadable(TEXT, "my text")
        second = store(tmp_path, corpus=CorpusText("text", {"train": text}, {"validation": 0.2, "test": 0.1}))
        assert second.folder == first.folder
        assert second.manifest == first.manifest
        assert second.tokenizer.to_json() == first.tokenizer.to_json()

    def test_whatever_changes_the_content_makes_another_entry(self, tmp_path):
        char = store(tmp_path).tokenizer
        entries = [
            store(tmp_path),
            store(tmp_path, corpus=corpus(TEXT + "x")),
            store(tmp_path, corpus=corpus(validation=0.2)),
            store(tmp_path, tokenizer=kind("byte")),
            store(tmp_path, tokenizer=kind("bpe", vocabulary_size=300, min_frequency=2)),
            store(tmp_path, tokenizer=kind("bpe", vocabulary_size=301, min_frequency=2)),
            store(tmp_path, tokenizer=char),
            store(tmp_path, unknown="skip"),
        ]
        assert len({entry.folder for entry in entries}) == len(entries)

    @pytest.mark.parametrize("name", ["manifest.json", "tokenizer.json", "train.bin", "test.bin"])
    @pytest.mark.parametrize("damage", ["missing", "cut off", "longer"])
    def test_a_damaged_entry_is_made_again(self, tmp_path, name, damage):
        folder = store(tmp_path).folder
        content = (folder / name).read_bytes()
        if damage == "missing":
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content[:-1] if damage == "cut off" else content + b"}")
        entry = store(tmp_path)
        assert (entry.folder, (folder / name).read_bytes()) == (folder, content)

    @settings(deadline=None)  # it waits for the disk
    @given(st.data())
    def test_a_manifest_or_tokenizer_with_a_wrong_byte_is_never_believed(self, tmp_path_factory, data):
        tmp_path = tmp_path_factory.mktemp("store")
        entry = store(tmp_path, corpus=corpus("some text " * 9))
        file = entry.folder / data.draw(st.sampled_from(["manifest.json", "tokenizer.json"]))
        content = bytearray(file.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        file.write_bytes(content)
        opened = token_store._open(entry.folder, entry.manifest.key)
        assert opened is None or (opened.manifest, opened.tokenizer.to_json()) == (
            entry.manifest,
            entry.tokenizer.to_json(),
        )

    @pytest.mark.parametrize("content", ["", "[]", "null", "{", "{}", '{"digest": 1}', "[" * 5000])
    def test_what_is_no_manifest_is_none(self, tmp_path, content):
        (tmp_path / "manifest.json").write_text(content)
        assert Manifest.read(tmp_path / "manifest.json") is None

    def test_what_a_killed_process_left_is_swept_away(self, tmp_path):
        folder = store(tmp_path).folder
        with only_maker(folder) as building:
            shutil.move(folder, building)
        (building / "train.bin").write_bytes(b"half")
        assert store(tmp_path).tokens("train")[:3].tolist() != []
        assert left_behind(tmp_path) == [folder.name]

    def test_an_entry_under_another_ones_name_is_not_believed(self, tmp_path):
        mine, other = store(tmp_path), store(tmp_path, corpus=corpus(TEXT[::-1]))
        shutil.rmtree(mine.folder)
        shutil.copytree(other.folder, mine.folder)
        assert store(tmp_path).manifest == mine.manifest


class Watched(FileText):
    """A file that another program overwrites just before a certain pass over it."""

    def __init__(self, path: Path, at_pass: int, content: bytes) -> None:
        super().__init__([path], "utf-8")
        self.path, self.passes, self.at_pass, self.content = path, 0, at_pass, content

    def _chunks(self, path: Path) -> Iterator[bytes]:
        self.passes += 1
        if self.passes == self.at_pass:
            overwrite(self.path, self.content)
        return super()._chunks(path)


def overwrite(path: Path, content: bytes) -> None:
    """As a program does that keeps the time of change, like cp -p or rsync."""
    path.write_bytes(content)
    os.utime(path, (1_000_000_000, 1_000_000_000))


class TestTextThatChanges:
    """What is trained on is the text that the entry's digest is of, always."""

    OLD, NEW = b"the old text. " * 700_000, b"the new text. " * 700_000  # more than 8 MiB each

    def entry(self, tmp_path: Path, source: FileText, name: str = "char") -> EncodedCorpus:
        return store(tmp_path, corpus=CorpusText("text", {"train": source}, {"validation": 0.2}), tokenizer=kind(name))

    def test_another_text_of_the_same_size_and_time_is_another_entry(self, tmp_path):
        path = tmp_path / "a.txt"
        entries = []
        for content in (self.OLD, self.NEW):
            overwrite(path, content)
            entries.append(self.entry(tmp_path, FileText([path], "utf-8"), "byte"))
            assert entries[-1].tokens("train").tobytes() == content[: int(len(content) * 0.8)]
            assert entries[-1].manifest.sources == {"train": hashlib.sha256(content).hexdigest()}
        assert entries[0].folder != entries[1].folder

    @pytest.mark.parametrize("name", ["char", "bpe", "word"])
    def test_no_pass_may_read_another_text_and_nothing_is_kept_of_it(self, tmp_path, name):
        path, old, new = tmp_path / "a.txt", b"the old text. " * 99, b"the new text. " * 99
        options = {"char": {}, "bpe": {"vocabulary_size": 300, "min_frequency": 2}}
        how = kind(name, **options.get(name, {"vocabulary_size": 10, "min_frequency": 1}))
        counting = Watched(path_of(path, old), 0, b"")
        text = CorpusText("text", {"train": counting}, {"validation": 0.2})
        whole = encoded(text, how, "error", tmp_path / "whole")
        assert counting.passes > 3  # hashed, counted, fitted, encoded split by split
        for at_pass in range(2, counting.passes + 1):
            for content in (new, new[:-20], b"", new + b"more"):
                watched = Watched(path_of(path, old), at_pass, content)
                changing = CorpusText("text", {"train": watched}, {"validation": 0.2})
                with pytest.raises(UserError, match="changed while it was being read"):
                    store(tmp_path, corpus=changing, tokenizer=how)
                assert left_behind(tmp_path) == []
        again = CorpusText("text", {"train": FileText([path_of(path, old)], "utf-8")}, {"validation": 0.2})
        assert store(tmp_path, corpus=again, tokenizer=how).manifest == whole.manifest

    def test_the_manifest_names_every_file(self, tmp_path):
        paths = [path_of(tmp_path / name, name.encode() * 9) for name in ("a", "b")]
        manifest = self.entry(tmp_path, FileText(paths, "latin-1")).manifest
        assert manifest.files == {"train": [hashlib.sha256(name * 9).hexdigest() for name in (b"a", b"b")]}


def path_of(path: Path, content: bytes) -> Path:
    overwrite(path, content)
    return path


class TestFailures:
    @pytest.mark.parametrize(("number", "error"), [(28, RunError), (13, UserError), (30, UserError)])
    def test_a_folder_that_takes_no_more_leaves_nothing_half_written(self, tmp_path, monkeypatch, number, error):
        def fail(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(token_store, "_sync", fail)
        with pytest.raises(UserError) as caught:
            store(tmp_path)
        assert type(caught.value) is error
        assert str(tmp_path / "cache") in str(caught.value)
        assert os.strerror(number) in str(caught.value)
        assert "data.cache_dir=FOLDER" in str(caught.value)
        assert left_behind(tmp_path) == []

    def test_a_really_full_disk(self, tmp_path):
        """/dev/full takes no byte."""
        if not Path("/dev/full").exists():
            pytest.skip("this system has no /dev/full")
        train, tokenizer = token_store.cut(corpus())["train"], store(tmp_path).tokenizer
        with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space left"):
            token_store._encode(train, tokenizer, "error", "uint8", full)

    def test_a_file_in_the_way_of_the_folder(self, tmp_path):
        (tmp_path / "cache").write_text("in the way")
        with pytest.raises(UserError, match="cannot write the prepared text below"):
            store(tmp_path)

    def test_an_interrupted_build_leaves_nothing(self, tmp_path, monkeypatch):
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(token_store, "_sync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store(tmp_path)
        assert left_behind(tmp_path) == []


BUILDER = """
import sys, time
from pathlib import Path
from lstm_lm.data import token_store
from lstm_lm.data.corpora.interface import CorpusText
from lstm_lm.data.text_files import FileText
from lstm_lm.data.text_source import StringText
from lstm_lm.tokenizers import tokenizer_class

cache = Path(sys.argv[1])
build = token_store._build

def slow_build(*args):
    print("builds", flush=True)
    time.sleep(0.5)  # long enough for the other to arrive
    build(*args)

token_store._build = slow_build
kind = tokenizer_class("char")
options = kind.OptionsType.parse({"name": "char"}, "tokenizer")
corpus = CorpusText("text", {"train": StringText("some text " * 1000, "text")}, {"validation": 0.1})
print("ready", flush=True)
sys.stdin.readline()  # both start at once
entry = token_store.encoded(corpus, (kind, options), "error", cache)
print(int(entry.tokens("train").sum()), entry.folder.name, flush=True)
"""


def test_of_processes_that_want_one_entry_at_once_one_makes_it(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", BUILDER, str(tmp_path / "cache")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(map(len, outputs)) == [1, 2]  # one of them says that it builds
    assert outputs[0][-1] == outputs[1][-1]
    assert left_behind(tmp_path) == [outputs[0][-1].split()[1]]


def test_the_manifest_is_plain_json(tmp_path):
    entry = store(tmp_path)
    stored = json.loads((entry.folder / "manifest.json").read_text())
    stored.pop("digest")
    assert stored == entry.manifest.model_dump(mode="json")
