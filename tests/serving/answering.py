"""A server in a thread of this process, on a free port, and what asks it."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from lstm_lm.models.loading import Loaded
from lstm_lm.serving.options import ServeOptions

if TYPE_CHECKING:
    from lstm_lm.serving.server import Server

LIMITS: dict[str, Any] = {
    "host": "127.0.0.1",
    "port": 0,
    "unknown": "error",
    "max_texts": 8,
    "max_characters": 2000,
    "max_tokens": 100_000,
    "max_seconds": 60.0,
}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def refusal(self) -> str:
        """Its message, after checking the form of the OpenAI API."""
        error = self.json["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        assert self.status >= 400
        return str(error["message"])

    @property
    def events(self) -> list[Any]:
        """Of a stream that was read to its end."""
        *events, end, rest = self.text.split("\n\n")
        assert (end, rest) == ("data: [DONE]", "")
        return [json.loads(event.removeprefix("data: ")) for event in events]


class Answering:
    """Where it answers, and the server itself."""

    def __init__(self, server: "Server", port: int) -> None:
        self.server = server
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    @contextmanager
    def asked(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> Iterator[http.client.HTTPResponse]:
        """An answer that is still coming; at the end of the block the client goes away."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            with connection.getresponse() as response:
                yield response
        finally:
            connection.close()

    def ask(self, path: str, body: Any = None, method: str | None = None, **headers: str) -> Answer:
        """The whole answer; `body` is sent as JSON, unless it is bytes."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        with self.asked(method or ("GET" if body is None else "POST"), path, data, **headers) as response:
            text = response.read().decode("utf-8")
            return Answer(response.status, {key.lower(): value for key, value in response.getheaders()}, text)

    def text(self, **body: Any) -> str:
        """One text."""
        answer = self.ask("/generate", body)
        assert answer.status == 200, answer
        (choice,) = answer.json["choices"]
        return str(choice["text"])

    @property
    def busy(self) -> int:
        """Texts that are being written."""
        return int(self.ask("/health").json["texts"])


@contextmanager
def answering(loaded: Loaded, **limits: Any) -> Iterator[Answering]:
    """A server that ends with the block."""
    from lstm_lm.serving.server import Server, listening  # needs packages that may not be there

    options = ServeOptions.parse(LIMITS | limits, "")
    at = listening(options.host, options.port)
    started = threading.Event()
    server = Server(loaded, options, started.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [at]})
    thread.start()
    try:
        assert started.wait(60)
        yield Answering(server, at.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(60)
        at.close()
        assert not thread.is_alive()


def wait_until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)
