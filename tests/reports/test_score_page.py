"""The page of a coloured text: each token in its place with its nats, and nothing in it that a browser would obey."""

import math
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from lstm_lm.reports import score_page as of_page
from lstm_lm.reports.score_page import score_page
from lstm_lm.tokenizers import Tokenizer
from lstm_lm.tokenizers.byte import ByteTokenizer
from lstm_lm.tokenizers.char import CharTokenizer

HOSTILE = "<script>alert('1')</script> & \"quoted\" <!-- --> \x1b[2J\u202eabc"


class Read(HTMLParser):
    """What a browser would show, and what each token says under the pointer."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.shown: list[str] = []
        self.titles: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [f"{name}={value}" for name, value in attrs if name in ("src", "href", "onclick")]
        self._inside = dict(attrs).get("title") or "" if tag == "span" else ""
        if self._inside:
            self.titles.append(self._inside)

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.shown.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""


def page_of(tmp_path: Path, tokenizer: Tokenizer, text: str, nats: list[float], *, whole: bool) -> str:
    ids = tokenizer.encode(text).ids
    with score_page(tmp_path / "page.html", HOSTILE, tokenizer, whole=whole, overwrite=True) as page:
        (page.running if whole else lambda *of: page.line(1, *of))(ids, np.array(nats))
    return (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("whole", [False, True])
def test_a_token_shows_its_nats_and_harms_nobody(tmp_path: Path, whole: bool) -> None:
    tokenizer = CharTokenizer("".join(sorted(set(HOSTILE))))
    nats = [number / 7 for number in range(len(HOSTILE))]
    content = page_of(tmp_path, tokenizer, HOSTILE, nats, whole=whole)
    read = Read(content)
    assert read.tags == {"html", "head", "meta", "title", "style", "body", "h1", "p", "div", "span"} | (
        set() if whole else {"i"}
    )
    assert not read.links
    assert "http" not in content.replace("http-equiv", "")
    assert read.titles == [f"{value:.2f} nats" for value in nats]
    assert "".join(read.shown) == HOSTILE.replace("\x1b", r"\x1b").replace("\u202e", r"\u202e")


def test_more_surprising_is_darker(tmp_path: Path) -> None:
    content = page_of(tmp_path, CharTokenizer("abc"), "abc", [0.1, 2.5, 30.0], whole=False)
    assert [f'class="s{level}" title=' in content for level in (0, 3, 8)] == [True] * 3


def test_tokens_of_one_character_share_their_place(tmp_path: Path) -> None:
    read = Read(page_of(tmp_path, ByteTokenizer(), "aé", [1.0, 2.0, 0.25], whole=False))
    assert (read.shown, read.titles) == (["a", "é"], ["1.00 nats", "2.00 + 0.25 nats"])


def test_a_token_that_was_only_read_says_so(tmp_path: Path) -> None:
    read = Read(page_of(tmp_path, CharTokenizer("ab"), "ab", [math.nan, 1.0], whole=True))
    assert "not scored" in read.titles[0]
    assert read.titles[1] == "1.00 nats"


def test_a_page_has_an_end_though_the_text_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_page, "MOST_TOKENS", 10)
    tokenizer = CharTokenizer("abc")
    with score_page(tmp_path / "page.html", "a", tokenizer, whole=False, overwrite=False) as page:
        for number in range(100):
            page.line(number, tokenizer.encode("abc").ids, np.ones(3))
    assert page.full
    read = Read((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert len(read.shown) == 6


def test_the_end_of_a_line_is_shown(tmp_path: Path) -> None:
    for whole, shown in ((False, "⏎"), (True, "⏎\n")):
        read = Read(page_of(tmp_path, CharTokenizer("\na"), "a\n", [1.0, 2.0], whole=whole))
        assert read.shown == ["a", shown]
