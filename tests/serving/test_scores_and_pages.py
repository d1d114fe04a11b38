"""What else is asked for: how likely a text is, and a page."""

import http.client
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from answering import answering, wait_until

import lstm_lm
from lstm_lm.evaluation.scoring.model import TokenScorer
from lstm_lm.models.loading import Loaded

Make = Callable[..., Loaded]


def test_scores_are_those_of_the_api(made: Make) -> None:
    lines = ["abc", "", "gfe d"]
    with answering(made()) as served:
        for body, how in (
            ({"text": lines}, {}),
            ({"text": "\n".join(lines), "sort": "surprise"}, {"sort": "surprise"}),
            ({"text": "ab ab", "unit": "token"}, {"unit": "token"}),
            ({"text": "aXb", "unknown": "skip", "unit": "text"}, {"unknown": "skip", "unit": "text"}),
        ):
            assert served.ask("/score", body).json["data"] == list(lstm_lm.score(made(), body["text"], **how))  # type: ignore[arg-type]
        assert served.ask("/score", {}).refusal == "text: missing"
        assert "does not know 'X'" in served.ask("/score", {"text": "X"}).refusal
        assert "newline" in served.ask("/score", {"text": ["a\nb"]}).refusal
        assert served.ask("/score", {"text": "a" * 2001}).status == 413


def test_scoring_does_not_disturb_what_is_being_written(made: Make) -> None:
    asked = {"prompt": "ab", "max_tokens": 2000, "seed": 1}
    with answering(made()) as served:
        expected = served.text(**asked)
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.append(served.text(**asked)))
        thread.start()
        while thread.is_alive():
            assert served.ask("/score", {"text": "abc\n" * 50}).status == 200
        thread.join()
    assert found == [expected]


def test_the_page_of_a_model_that_a_browser_can_run_is_the_exported_one(made: Make) -> None:
    with answering(made()) as served:
        answer = served.ask("/")
    assert answer.headers["content-type"].startswith("text/html")
    assert 'id="weights"' in answer.text


def test_a_weight_that_float16_has_no_number_for_is_not_sent_to_a_browser(made: Make) -> None:
    loaded = made()
    loaded.model.get_parameter("head.bias").data[0] = 1e5
    with answering(loaded) as served:
        answer = served.ask("/")
    assert answer.status == 200
    assert 'fetch("/generate"' in answer.text


def test_a_run_may_have_any_name(made: Make) -> None:
    loaded = made("model=transformer")
    loaded.checkpoint = Path("caf\udce9.ckpt")
    with answering(loaded) as served:
        for path in ("/", "/health", "/v1/models"):
            assert r"caf\udce9" in served.ask(path).text.replace("\\\\", "\\")
        assert served.ask("/generate", {"prompt": "a", "max_tokens": 1}).status == 200


def test_a_score_that_nobody_waits_for_is_not_computed_to_its_end(made: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """And those that wait their turn keep no thread from who asks for text."""
    begun, go_on = threading.Event(), threading.Event()
    window = TokenScorer._window

    def slow(*arguments: Any) -> Any:
        begun.set()
        assert go_on.wait(60)
        return window(*arguments)

    monkeypatch.setattr(TokenScorer, "_window", slow)
    body = json.dumps({"text": "abc\n" * 400}).encode()
    with answering(made(), max_texts=100) as served:
        waiting = [http.client.HTTPConnection("127.0.0.1", served.port) for _ in range(60)]
        for connection in waiting:
            connection.request("POST", "/score", body)
        assert begun.wait(60)
        assert len(served.text(prompt="a", max_tokens=3)) == 3
        for connection in waiting:
            connection.close()
        wait_until(lambda: served.busy == 0)
        go_on.set()
        assert served.ask("/score", {"text": "ab"}).status == 200


def test_a_score_ends_with_its_time_whatever_a_row_is(made: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    window = TokenScorer._window

    def slow(*arguments: Any) -> Any:
        time.sleep(0.05)
        return window(*arguments)

    monkeypatch.setattr(TokenScorer, "_window", slow)
    with answering(made(), max_seconds=0.02) as served:
        for how in ({"unit": "text"}, {"unit": "line", "sort": "surprise"}, {"unit": "token"}):
            refused = served.ask("/score", {"text": "abc abc\n", **how})
            assert refused.status == 503
            assert "max_seconds" in refused.refusal


def test_the_page_of_another_has_the_server_write(made: Make) -> None:
    with answering(made("model=transformer")) as served:
        answer = served.ask("/")
    assert 'id="weights"' not in answer.text
    assert 'fetch("/generate"' in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert policy.count("sha256-") == 2
