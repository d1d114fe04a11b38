import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lstm_lm
from lstm_lm import registry
from lstm_lm.data.corpora import python_names, tinyshakespeare
from lstm_lm.data.corpora.interface import Corpus, CorpusText
from lstm_lm.data.splits import FittingText, cut
from lstm_lm.data.text_source import StringText
from lstm_lm.errors import UserError

PLAY = b"First Citizen:\nBefore we proceed any further, hear me speak.\n"


def corpus(section: dict[str, Any]) -> Corpus:
    kind: type[Corpus] = registry.find("lstm_lm.data.corpora", section["name"], "data.name").CORPUS
    return kind(kind.OptionsType.parse(section, "data"), Path(section["cache_dir"]))


def refusal(section: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        corpus(section).load()
    assert len(str(caught.value).splitlines()) <= 4
    return str(caught.value)


def content(text: Any) -> str:
    return "".join(text.pieces())


class TestSplits:
    @pytest.mark.parametrize("length", [1, 9, 10, 11, 99, 1_000, 12_345, 1_115_394])
    def test_the_first_nine_tenths_train_as_nanogpt_has_it(self, length):
        text = "".join(chr(0x100 + i % 5000) for i in range(length))
        splits = cut(CorpusText("x", {"train": StringText(text, "x")}, {"validation": 0.1, "test": 0.0}))
        assert list(splits) == ["train", "validation"]
        assert content(splits["train"].text) == text[: int(length * 0.9)]
        assert content(splits["validation"].text) == text[int(length * 0.9) :]

    @pytest.mark.parametrize("fractions", [(0.1, 0.1), (0.3, 0.05), (0.25, 0.5), (0.9, 0.09)])
    def test_splits_add_up(self, fractions):
        text = "".join(map(chr, range(0x100, 0x100 + 1237)))
        validation, test = fractions
        splits = cut(CorpusText("x", {"train": StringText(text, "x")}, {"validation": validation, "test": test}))
        assert "".join(content(split.text) for split in splits.values()) == text
        assert [text[split.start : split.stop] for split in splits.values()] == [
            content(s.text) for s in splits.values()
        ]
        assert abs(len(content(splits["test"].text)) - 1237 * test) <= 1

    def test_a_split_of_its_own_is_taken_whole(self):
        sources = {"test": StringText("own", "t"), "train": StringText("0123456789", "x")}
        splits = cut(CorpusText("x", sources, {"validation": 0.2}))
        assert {split: content(part.text) for split, part in splits.items()} == {
            "train": "01234567",
            "validation": "89",
            "test": "own",
        }
        fitting = FittingText(splits)
        assert "".join(fitting.training()) == "01234567"
        assert ["".join(fitting.everything()) for _ in range(2)] == ["0123456789own"] * 2


class TestPythonDocs:
    def test_it_is_prose_that_every_python_carries(self, section):
        loaded = corpus(section("python_docs")).load()
        text = content(loaded.sources["train"])
        assert len(text) > 300_000
        assert "statement" in text
        assert loaded.fractions == {"validation": 0.1, "test": 0.0}
        assert text.isprintable() or "\n" in text

    def test_a_path_is_refused_with_the_way_to_use_it(self, section):
        assert "data=text" in refusal(section("python_docs", path="my.txt"))


class TestPythonNames:
    @pytest.fixture
    def library(self, monkeypatch, tmp_path) -> Path:
        """A standard library of a few modules."""
        root = tmp_path / "lib"
        for name, source in {
            "ast.py": "import os\nLIMIT: int = 3\nlower = 4\ndef walk(): pass\ndef _hidden(): pass\n",
            "json/__init__.py": "class Decoder:\n    STRICT = _SECRET = 1\n    def walk(self): pass\n",
            "json/_speedups.py": "def fast(): pass\n",
            "json/tests/more.py": "def try_it(): pass\n",
            "os.py": "try:\n    async def wait(): pass\nexcept OSError: pass\nclass _A:\n    def inside(self): pass\n",
            "abc.py": "no python {\n",
            "_thread.py": "def start(): pass\n",
            "mine.py": "def mine(): pass\n",
        }.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(source)
        monkeypatch.setattr(python_names.sysconfig, "get_paths", lambda: {"stdlib": str(root)})
        return root

    def test_it_is_every_public_name_once_in_alphabetical_order(self, section, library):
        text = content(corpus(section("python_names")).load().sources["train"])
        assert text == "Decoder\nLIMIT\nSTRICT\nwait\nwalk\n"

    def test_a_list_is_made_once_and_anew_from_other_sources(self, section, library, monkeypatch):
        first = content(corpus(section("python_names")).load().sources["train"])
        with monkeypatch.context() as patch:
            patch.setattr(python_names.ast, "parse", None)
            assert content(corpus(section("python_names")).load().sources["train"]) == first
        (library / "os.py").write_text("def another(): pass\n")
        assert "another\n" in content(corpus(section("python_names")).load().sources["train"])

    def test_a_python_without_sources_and_a_path_are_refused(self, section, library):
        assert "data=text" in refusal(section("python_names", path="my.txt"))
        for path in library.rglob("*.py"):
            path.unlink()
        assert "without the sources" in refusal(section("python_names"))


class TestTinyShakespeare:
    @pytest.fixture(autouse=True)
    def _a_short_play(self, monkeypatch):
        monkeypatch.setattr(tinyshakespeare, "SHA256", hashlib.sha256(PLAY).hexdigest())
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    @pytest.fixture
    def served(self, monkeypatch) -> Iterator[Callable[[bytes], list[str]]]:
        """Let the download's address be a server of our own; the paths that it was asked for."""
        servers = []

        def serve(body: bytes) -> list[str]:
            asked: list[str] = []

            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    asked.append(self.path)
                    self.send_response(200 if body else 404)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, *_: object) -> None:
                    pass

            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            servers.append(server)
            threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
            monkeypatch.setattr(tinyshakespeare, "URL", f"http://127.0.0.1:{server.server_port}/input.txt")
            return asked

        yield serve
        for server in servers:
            server.shutdown()
            server.server_close()

    def test_it_is_downloaded_once(self, section, served, capfd):
        asked = served(PLAY)
        for _ in range(2):
            loaded = corpus(section("tinyshakespeare")).load()
            assert content(loaded.sources["train"]) == PLAY.decode()
        assert asked == ["/input.txt"]
        assert "100%" in capfd.readouterr().err

    def test_a_wrong_download_is_refused_and_removed(self, section, served, tmp_path):
        served(b"<html>Please sign in</html>")
        message = refusal(section("tinyshakespeare"))
        assert tinyshakespeare.URL in message
        assert "data.path=FILE" in message
        assert [file.suffix for file in (tmp_path / "cache/downloads").iterdir()] == [".lock"]

    @pytest.mark.parametrize("address", ["refused", "missing"])
    def test_no_network_is_explained(self, section, served, monkeypatch, address):
        served(b"")
        if address == "refused":
            monkeypatch.setattr(tinyshakespeare, "URL", "http://127.0.0.1:9/input.txt")
        message = refusal(section("tinyshakespeare"))
        assert f"cannot download {tinyshakespeare.URL}" in message
        assert "data.path=FILE" in message
        assert "cache/downloads/tinyshakespeare.txt" in message

    def test_a_file_put_there_by_hand_is_found(self, section, tmp_path, monkeypatch):
        monkeypatch.setattr(tinyshakespeare, "URL", "http://127.0.0.1:9/input.txt")
        (tmp_path / "cache/downloads").mkdir(parents=True)
        (tmp_path / "cache/downloads/tinyshakespeare.txt").write_bytes(PLAY)
        assert content(corpus(section("tinyshakespeare")).load().sources["train"]) == PLAY.decode()

    def test_a_local_copy_is_checked_too(self, section, tmp_path):
        copy = tmp_path / "copy.txt"
        copy.write_bytes(PLAY)
        assert content(corpus(section("tinyshakespeare", path=str(copy))).load().sources["train"]) == PLAY.decode()
        copy.write_bytes(PLAY + b"\n")
        message = refusal(section("tinyshakespeare", path=str(copy)))
        assert f"data=text data.path={copy}" in message

    def test_a_copy_that_is_not_there_is_refused(self, section):
        assert "none.txt: cannot be read" in refusal(section("tinyshakespeare", path="none.txt"))
        assert "must be one file" in refusal(section("tinyshakespeare", path=["a", "b"]))


class TestText:
    def test_a_path_of_its_own_goes_before_a_share(self, section, tmp_path):
        for name in "abc":
            (tmp_path / name).write_text(name * 10)
        loaded = corpus(section("text", path=str(tmp_path / "a"), validation_path=str(tmp_path / "b"))).load()
        assert {split: content(source) for split, source in loaded.sources.items()} == {
            "train": "a" * 10,
            "validation": "b" * 10,
        }
        assert loaded.fractions == {"test": 0.0}
        both = section("text", path=str(tmp_path / "a"), test_path=[str(tmp_path / "b"), str(tmp_path / "c")])
        loaded = corpus(both).load()
        assert content(loaded.sources["test"]) == "b" * 10 + "\n" + "c" * 10
        assert loaded.fractions == {"validation": 0.1}

    def test_a_missing_split_is_named_by_its_key(self, section, tmp_path):
        (tmp_path / "a").write_text("text")
        message = refusal(section("text", path=str(tmp_path / "a"), validation_path="none.txt"))
        assert "data.validation_path='none.txt': no such file" in message

    def test_a_path_is_needed(self, section):
        assert "data.path=None: must name the text to train on" in refusal(section("text"))

    def test_standard_input_is_for_training_alone(self, section):
        assert "only data.path can be standard input" in refusal(section("text", path="-", test_path="-"))


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("batch_size", 0, "greater than 0"),
        ("batch_size", True, "valid integer"),
        ("seq_len", -1, "greater than 0"),
        ("seq_len", 1.5, "valid integer"),
        ("eval_batch_size", 0, "greater than 0"),
        ("eval_context", -1, "greater than or equal to 0"),
        ("carry_state", "yes", "valid boolean"),
        ("unknown", "ignore", "'error', 'skip', 'replace' or 'extend'"),
        ("encoding", "utf-9", "text encoding that Python knows"),
        ("encoding", "hex", "text encoding that Python knows"),
        ("validation_fraction", 0.0, "greater than 0"),
        ("validation_fraction", float("nan"), "finite"),
        ("test_fraction", 0.9, "leave text to train on"),
        ("sequence_length", 3, "no such key"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(section, key, value, allowed):
    message = refusal(section("python_docs", **{key: value}))
    assert message.startswith(f"data.{key}")
    assert allowed in message


class TestWikiText2:
    def section(self, tmp_path: Path, path: Any) -> dict[str, Any]:
        common: dict[str, Any] = lstm_lm.compose("data=wikitext2")["data"]
        return {**common, "path": path, "cache_dir": str(tmp_path)}

    def test_its_three_files_are_its_three_splits(self, tmp_path):
        for name in ("train", "valid", "test"):
            (tmp_path / f"wiki.{name}.tokens").write_text(f" the {name} text \n")
        splits = cut(corpus(self.section(tmp_path, str(tmp_path))).load())
        assert {split: content(part.text) for split, part in splits.items()} == {
            "train": " the train text \n",
            "validation": " the valid text \n",
            "test": " the test text \n",
        }

    @pytest.mark.parametrize("path", [None, ["a", "b"]])
    def test_without_a_folder_it_says_where_the_text_is_and_how_to_name_it(self, path, tmp_path):
        told = refusal(self.section(tmp_path, path))
        assert "wikitext-2-v1" in told
        assert "data.path=FOLDER" in told

    def test_a_folder_without_its_files_is_named_with_what_it_lacks(self, tmp_path):
        (tmp_path / "wiki.train.tokens").write_text("the")
        told = refusal(self.section(tmp_path, str(tmp_path)))
        assert f"data.path={tmp_path}: no wiki.valid.tokens, wiki.test.tokens there" in told
        assert "data.path=FOLDER" in told
