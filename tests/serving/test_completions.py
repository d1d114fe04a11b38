"""Text over HTTP: the text of `generate`, whoever else is being answered; the form of the OpenAI API."""

import inspect
import threading
from collections.abc import Callable
from typing import Any

import pytest
from answering import Answering, answering

from lstm_lm.generation.api import generate
from lstm_lm.models.loading import Loaded
from lstm_lm.tokenizers.byte import ByteTokenizer

Make = Callable[..., Loaded]


def test_it_writes_what_generate_writes(made: Make) -> None:
    loaded = made()
    expected = generate(loaded, "ab", max_new_tokens=100, temperature=0)
    with answering(made()) as served:
        assert "ab" + served.text(prompt="ab", max_tokens=100, temperature=0) == expected
        assert served.text(prompt="ab", max_tokens=100, temperature=0, echo=True) == expected
        for more in ({"seed": 5}, {"seed": 6, "top_k": 3}, {"seed": 7, "top_p": 0.7}, {"stop": ["d", "fg"], "seed": 1}):
            found = served.text(prompt="ab", max_tokens=60, temperature=0.9, echo=True, **more)
            assert found == generate(loaded, "ab", max_new_tokens=60, temperature=0.9, **more)


def test_a_stream_is_the_same_text_in_pieces(served: Answering) -> None:
    asked = {"prompt": "ab", "max_tokens": 300, "seed": 3, "n": 2}
    whole = served.ask("/v1/completions", asked).json
    answer = served.ask("/v1/completions", {**asked, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = answer.events
    assert len({event["id"] for event in events}) == 1
    choices = [choice for event in events for choice in event["choices"]]
    for index, expected in enumerate(whole["choices"]):
        own = [choice for choice in choices if choice["index"] == index]
        assert "".join(choice["text"] for choice in own) == expected["text"]
        assert len(expected["text"]) == 300
        assert [choice["finish_reason"] for choice in own] == [None] * (len(own) - 1) + ["length"]
    assert whole["usage"] == {"prompt_tokens": 2, "completion_tokens": 600, "total_tokens": 602}


def test_a_stop_string_ends_a_text_and_is_not_given_whole_or_streamed(served: Answering) -> None:
    """It comes in several pieces: a token is a character here."""
    asked = {"prompt": "ab", "max_tokens": 100, "seed": 3}
    text = served.text(**asked)
    stop = text[40:43]
    whole = served.ask("/generate", {**asked, "stop": stop}).json
    (choice,) = whole["choices"]
    assert (choice["text"], choice["finish_reason"]) == (text[: text.index(stop)], "stop")
    assert whole["usage"]["completion_tokens"] == len(choice["text"]) + len(stop)
    pieces = [event["choices"][0] for event in served.ask("/generate", {**asked, "stop": stop, "stream": True}).events]
    assert "".join(piece["text"] for piece in pieces) == choice["text"]
    assert pieces[-1]["finish_reason"] == "stop"


def test_a_character_of_several_tokens_is_in_one_piece(made: Make) -> None:
    """Of a model whose tokens are bytes, nearly none of whose texts are UTF-8."""
    loaded = made(tokenizer=ByteTokenizer())
    asked = {"prompt": "ć☃", "max_tokens": 400, "seed": 3}
    expected = generate(loaded, "ć☃", max_new_tokens=400, seed=3)
    with answering(loaded) as served:
        assert served.text(**asked, echo=True) == expected
        pieces = served.ask("/generate", {**asked, "stream": True}).events
    assert "ć☃" + "".join(event["choices"][0]["text"] for event in pieces) == expected


def test_the_first_piece_comes_before_the_last_is_written(served: Answering) -> None:
    with served.asked("POST", "/generate", b'{"max_tokens": 100000, "stream": true}') as response:
        assert response.readline().startswith(b"data: ")
        assert served.busy == 1


def test_a_text_does_not_depend_on_who_else_is_being_answered(served: Answering) -> None:
    """Each with its own settings, prompts of other lengths, coming and going."""
    asked: list[dict[str, Any]] = [
        {"prompt": "abc" * number, "max_tokens": 40 + 60 * number, "seed": number, "temperature": 0.3 * number}
        for number in range(5)
    ]
    asked += [{"prompt": "g", "seed": 9, "max_tokens": 200, "top_k": 2}, {"prompt": "", "temperature": 0}]
    alone = [served.text(**one) for one in asked]
    together: dict[int, list[str]] = {number: [] for number in range(len(asked))}

    def ask(number: int) -> None:
        together[number] += [served.text(**asked[number]) for _ in range(3)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in together]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[number] for number in range(len(asked))] == [[text] * 3 for text in alone]


@pytest.mark.parametrize("model", ["gru", "transformer", "ffn"])
def test_every_backbone_answers(made: Make, model: str) -> None:
    loaded = made(f"model={model}")
    with answering(loaded) as served:
        texts = served.ask("/generate", {"prompt": ["ab", "c"], "max_tokens": 30, "seed": 2, "echo": True}).json
    expected = [generate(made(f"model={model}"), prompt, max_new_tokens=30, seed=2) for prompt in ("ab", "c")]
    assert [choice["text"] for choice in texts["choices"]] == expected


def test_a_run_of_lines_writes_one_line(made: Make) -> None:
    lines = {"unit": "line", "seq_len": 16}
    with answering(made(data=lines)) as served:
        answer = served.ask("/generate", {"prompt": "ab", "max_tokens": 5000, "seed": 2, "echo": True}).json
        assert served.ask("/generate", {"prompt": "ab\nc"}).status == 400
    (choice,) = answer["choices"]
    assert choice["text"] == generate(made(data=lines), "ab", max_new_tokens=5000, seed=2)
    assert choice["finish_reason"] == "stop"


def test_a_separator_that_has_begun_is_not_given_twice(made: Make) -> None:
    documents = {"unit": "document", "separator": "aba", "seq_len": 16}
    asked = {"prompt": "cab", "max_tokens": 30, "temperature": 0}
    with answering(made(data=documents)) as served:
        new, whole = served.text(**asked), served.text(**asked, echo=True)
    assert whole == generate(made(data=documents), "cab", max_new_tokens=30, temperature=0)
    assert whole in ("c", "cab" + new)


def test_nothing_asked_for_is_nothing_written(served: Answering) -> None:
    assert served.text(prompt="ab", max_tokens=0) == ""
    assert served.text(prompt="ab", max_tokens=0, echo=True) == "ab"
    events = served.ask(
        "/generate", {"max_tokens": 0, "stream": True, "stream_options": {"include_usage": True}}
    ).events
    assert events[-1]["usage"]["completion_tokens"] == 0


def test_the_client_library_of_the_api_writes_and_streams(made: Make) -> None:
    openai = pytest.importorskip("openai", reason="the client library is not installed: pip install openai")
    expected = generate(made(), "ab", max_new_tokens=200, temperature=0)
    with (
        answering(made()) as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client,
    ):
        assert [model.id for model in client.models.list()] == ["best"]
        asked = {"model": "best", "prompt": "ab", "max_tokens": 200, "temperature": 0}
        assert "ab" + client.completions.create(**asked).choices[0].text == expected
        pieces = [event.choices[0].text for event in client.completions.create(**asked, stream=True)]
        assert "ab" + "".join(pieces) == expected
        with pytest.raises(openai.BadRequestError, match="does not know"):
            client.completions.create(**{**asked, "prompt": "X"})


def test_what_is_left_out_is_as_generate_has_it() -> None:
    from lstm_lm.serving.completion import LEFT_OUT, MOST_TOKENS

    of_generate = {name: one.default for name, one in inspect.signature(generate).parameters.items()}
    same = LEFT_OUT.keys() & of_generate.keys() - {"prompt", "stop"}
    assert {key: LEFT_OUT[key] for key in same} == {key: of_generate[key] for key in same}
    assert len(same) == 5
    assert of_generate["max_new_tokens"] == MOST_TOKENS
    assert not any([of_generate["prompt"], LEFT_OUT["prompt"], of_generate["stop"], LEFT_OUT["stop"]])
