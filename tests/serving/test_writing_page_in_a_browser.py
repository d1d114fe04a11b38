"""The page that has the server write, in a browser: it shows the text as it comes, stops, and says what is wrong."""

from collections.abc import Callable
from typing import Any

import pytest
from answering import answering

from lstm_lm.generation.api import generate
from lstm_lm.models.loading import Loaded

pytestmark = pytest.mark.posix
RESTING = "document.getElementById('write').textContent === 'Write'"
WRITES = "document.getElementById('text').textContent.length > 20"


def test_it_writes_what_generate_writes_stops_and_says_what_is_wrong(browser: Any, made: Callable[..., Loaded]) -> None:
    expected = generate(made("model=transformer"), "ab", max_new_tokens=120, temperature=0.7, seed=3)

    def press(**fields: Any) -> None:
        for name, value in fields.items():
            browser.evaluate(f"document.getElementById('{name}').value = {value!r}")
        browser.evaluate("document.getElementById('write').click()")

    def shown(name: str) -> str:
        return str(browser.evaluate(f"document.getElementById('{name}').textContent"))

    with answering(made("model=transformer")) as served:
        browser.size(390, 800)
        browser.call("Page.navigate", url=served.url)
        browser.wait("document.readyState === 'complete' && location.protocol === 'http:'")
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), "a telephone shows all of it"

        press(prompt="ab", length="120", temperature="0.7", seed="3")
        browser.wait(f"{RESTING} && {WRITES}")
        assert shown("text") == expected
        assert browser.evaluate("document.querySelector('#text b').textContent") == "ab", "what was given is bold"
        assert shown("status") == ""

        press(length="100000")
        browser.wait(WRITES)
        browser.evaluate("document.getElementById('write').click()")
        browser.wait(RESTING)
        browser.wait("fetch('/health').then((answer) => answer.json()).then((health) => health.texts === 0)")
        assert shown("status") == ""
        assert browser.complaints == []

        press(length="100001")
        browser.wait("document.getElementById('status').textContent !== ''")
        assert "at most 100000" in shown("status")
        assert browser.evaluate(RESTING)
    assert all(address.startswith(served.url) or address == "data:," for address in browser.requests)
