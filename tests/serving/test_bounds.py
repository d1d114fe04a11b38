"""What is refused, and how; what is bounded, and what becomes free again."""

import http.client
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from answering import Answering, answering, wait_until

from lstm_lm.generation.side_by_side import SideBySide
from lstm_lm.models.loading import Loaded

Make = Callable[..., Loaded]
LONG = b'{"max_tokens": 100000, "stream": true, "n": 4}'

REFUSED: dict[str, tuple[int, str, Any]] = {
    "no JSON": (400, "no JSON", b"prompt=ab"),
    "cut off": (400, "no JSON", b'{"prompt": "ab'),
    "no UTF-8": (400, "no JSON", b'{"prompt": "\xff"}'),
    "nested": (400, "no JSON", b"[" * 50_000),
    "digits": (400, "no JSON", b'{"seed": ' + b"9" * 10_000 + b"}"),
    "no object": (400, "no JSON object", ["ab"]),
    "a key that there is not": (400, "promp", {"promp": "ab"}),
    "a value out of range": (400, "temperature=-1", {"temperature": -1}),
    "not a number": (400, "temperature", b'{"temperature": NaN}'),
    "another type": (400, "max_tokens", {"max_tokens": "5"}),
    "tokens": (400, "tokens are not taken", {"prompt": [1, 2]}),
    "no prompt in a list": (400, "prompt", {"prompt": []}),
    "an empty stop string": (400, "stop", {"stop": [""]}),
    "what the API has and this has not": (400, "logprobs", {"logprobs": 3}),
    "unknown characters": (400, "does not know 'X'", {"prompt": "abX"}),
    "half a character": (400, "half a character", {"prompt": ["a\ud800"], "unknown": "skip", "echo": True}),
    "too many keys": (400, "100 keys", {f"key{number}": 1 for number in range(100)}),
    "too many prompts": (400, "prompt", {"prompt": [""] * 9}),
    "too many stop strings": (400, "stop", {"stop": ["a"] * 17}),
    "too long a stop string": (400, "stop", {"stop": "a" * 1001}),
    "too long a text": (413, "2,000 characters", {"prompt": "a" * 2001}),
    "too long in all": (413, "2,000 characters", {"prompt": ["a" * 1500, "b" * 600]}),
    "too long a body": (413, "2,000 characters", b'{"prompt": "' + b"a" * 200_000),
    "too many tokens": (400, "at most 100000", {"max_tokens": 100_001}),
    "too many texts": (400, "at most 8", {"n": 9}),
}


def test_what_is_wrong_is_said_in_one_error(served: Answering, capfd: pytest.CaptureFixture[str]) -> None:
    for name, (status, said, body) in REFUSED.items():
        answer = served.ask("/v1/completions", body)
        assert answer.status == status, (name, answer)
        assert said in answer.refusal, name
    assert served.busy == 0
    assert capfd.readouterr().err == "", "none of this is the server's fault"


def test_a_long_list_of_what_is_wrong_does_not_keep_the_others_waiting(served: Answering) -> None:
    """Each item's own error would take seconds, and be told."""
    for key, path in (("prompt", "/generate"), ("stop", "/generate"), ("text", "/score")):
        for wrong in ([1] * 2000, [""] * 2001):
            answer = served.ask(path, {"text": "a"} | {key: wrong} if path == "/score" else {key: wrong})
            assert answer.status == 400
            assert len(answer.refusal) < 200


def test_what_means_nothing_is_taken(served: Answering) -> None:
    neutral = {"model": "any", "logprobs": None, "presence_penalty": 0, "suffix": None, "user": "me", "logit_bias": {}}
    assert served.ask("/generate", {"prompt": "a", "max_tokens": 3, **neutral}).status == 200
    assert served.ask("/generate", {"prompt": "aXb", "max_tokens": 3, "unknown": "skip"}).status == 200


def test_other_paths_and_methods_are_refused_in_the_same_form(served: Answering) -> None:
    assert served.ask("/v1/chat/completions", {}).status == 404
    assert served.ask("/v1/chat/completions", {}).refusal
    assert served.ask("/generate").status == 405


def test_more_at_once_are_told_to_ask_again_and_a_client_that_goes_away_leaves_room(served: Answering) -> None:
    with served.asked("POST", "/generate", LONG) as one, served.asked("POST", "/generate", LONG) as two:
        assert one.readline()
        assert two.readline()
        assert served.busy == 8
        refused = served.ask("/generate", {"prompt": "a"})
        assert refused.status == 429
        assert "max_texts" in refused.refusal
        assert int(refused.headers["retry-after"]) >= 1
        assert served.ask("/score", {"text": "a"}).status == 429
    wait_until(lambda: served.busy == 0)
    assert served.ask("/generate", {"prompt": "a", "n": 8, "max_tokens": 5}).status == 200


def test_nor_is_written_on_what_a_client_does_not_wait_for(served: Answering) -> None:
    """Not streamed: it is the connection's end that is noticed."""
    body = json.dumps({"max_tokens": 100_000}).encode()

    connection = http.client.HTTPConnection("127.0.0.1", served.port)
    connection.request("POST", "/generate", body)
    wait_until(lambda: served.busy == 1)
    connection.close()
    wait_until(lambda: served.busy == 0)


def test_a_text_ends_where_it_is_when_its_time_is_over(made: Make) -> None:
    with answering(made(), max_seconds=0.5) as served:
        answer = served.ask("/generate", {"prompt": "ab", "max_tokens": 100_000}).json
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "length"
    assert 0 < len(choice["text"]) < 100_000


def test_diverged_weights_are_an_error_of_the_request_and_not_the_end(made: Make) -> None:
    loaded = made()
    with answering(loaded) as served:
        bias = loaded.model.get_parameter("head.bias").data
        before = bias.clone()
        bias[0] = float("nan")
        answer = served.ask("/generate", {"prompt": "ab"})
        assert answer.status == 500
        assert "diverged" in answer.refusal
        events = served.ask("/generate", {"prompt": "ab", "stream": True}).events
        assert "diverged" in events[-1]["error"]["message"]
        bias.copy_(before)
        assert len(served.text(prompt="ab", max_tokens=5)) == 5


def test_a_failure_inside_is_told_to_those_it_concerns_and_the_next_are_answered(
    made: Make, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    loaded = made()
    with answering(loaded) as served:

        def fail(*_: object) -> None:
            raise ArithmeticError("of the test")

        with monkeypatch.context() as patch:
            patch.setattr(type(loaded.model), "forward", fail)
            answer = served.ask("/generate", {"prompt": "ab"})
        assert answer.status == 500
        assert "of the test" not in answer.refusal, "which is for the log"
        assert "of the test" in capfd.readouterr().err
        assert len(served.text(prompt="ab", max_tokens=5)) == 5


@pytest.mark.parametrize("method", ["join", "leave", "step"])
def test_whatever_fails_in_the_batch_nobody_waits_for_ever(
    made: Make, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], method: str
) -> None:
    """As where a GPU's memory is full: one that is writing, one whose prompt has been read, one without tokens."""

    def fail(*_: object) -> None:
        raise ArithmeticError("of the test")

    with answering(made()) as served, served.asked("POST", "/generate", LONG) as writing:
        assert writing.readline()
        with monkeypatch.context() as patch:
            patch.setattr(SideBySide, method, fail)
            answers = [served.ask("/generate", {"prompt": "ab", "max_tokens": most}) for most in (0, 1, 2)]
        told = writing.read().decode()
        assert [answer.status for answer in answers if answer.status != 200]
        assert "its log says why" in told
        assert "of the test" in capfd.readouterr().err
        assert len(served.text(prompt="ab", max_tokens=5)) == 5
        wait_until(lambda: served.busy == 0)


def test_a_writer_that_cannot_go_on_says_so_and_health_does(
    made: Make, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ArithmeticError("of the test")

    with answering(made()) as served:
        assert served.ask("/health").status == 200
        monkeypatch.setattr(SideBySide, "__init__", fail)
        monkeypatch.setattr(SideBySide, "step", fail)
        assert served.ask("/generate", {"prompt": "ab"}).status == 500
        wait_until(lambda: served.ask("/health").status == 503)
        refused = served.ask("/generate", {"prompt": "ab"})
        assert refused.status == 500
        assert "no more" in refused.refusal
    assert "of the test" in capfd.readouterr().err


def test_the_end_of_the_server_is_told_to_those_that_wait(made: Make) -> None:
    with answering(made()) as served, served.asked("POST", "/generate", LONG) as response:
        first = response.readline()
        served.server.should_exit = True
        told = (first + response.read()).decode()
    *_, last, end, rest = told.split("\n\n")
    assert "ending" in json.loads(last.removeprefix("data: "))["error"]["message"]
    assert (end, rest) == ("data: [DONE]", "")


def test_other_sites_and_other_names_of_this_machine_are_refused(served: Answering) -> None:
    for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        answer = served.ask("/health", **headers)
        assert answer.status == 403
        assert answer.refusal
    for headers in ({"Host": "["}, {"Origin": "http://["}):
        answer = served.ask("/health", **headers)
        assert answer.status == 403
        assert "address" in answer.refusal
    own = f"localhost:{served.port}"
    answer = served.ask("/health", Host=own, Origin=f"http://{own}")
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_threads_end_with_the_server(made: Make) -> None:
    before = threading.active_count()
    with answering(made()) as served:
        served.text(prompt="a", max_tokens=1)
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name == "writer"])
    assert threading.active_count() <= before + 1
