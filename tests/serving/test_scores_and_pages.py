"""What else is asked for: how likely a text is, and a page."""

import threading
from collections.abc import Callable

from answering import answering

import lstm_lm
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


def test_the_page_of_another_has_the_server_write(made: Make) -> None:
    with answering(made("model=transformer")) as served:
        answer = served.ask("/")
    assert 'id="weights"' not in answer.text
    assert 'fetch("/generate"' in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert policy.count("sha256-") == 2
