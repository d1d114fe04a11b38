"""The routes: what is asked for, and how it is answered."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from lstm_lm.errors import UserError
from lstm_lm.generation.begun import begin
from lstm_lm.models.loading import Loaded
from lstm_lm.serving.bodies import json_object
from lstm_lm.serving.completion import Completion, CompletionRequest, choice, model_name, usage_of
from lstm_lm.serving.guard import Guard
from lstm_lm.serving.options import ServeOptions
from lstm_lm.serving.page import Page, page_of
from lstm_lm.serving.refusals import Refused, refusal_of, told
from lstm_lm.serving.scoring import Scorer, ScoreRequest
from lstm_lm.serving.twin import in_float32, twin
from lstm_lm.serving.writer import Job, Piece, Writer

SECONDS_TO_READ = 60.0
"""For a client to take what has been written, after which it is let go."""
CLIENT_GONE = 499
"""nginx's status for it; nobody reads it."""

Answer = TypeVar("Answer")


class Service:
    """A model, and who is being answered."""

    def __init__(self, loaded: Loaded, limits: ServeOptions) -> None:
        self.loaded = loaded
        self.limits = limits
        self.name = model_name(loaded)
        self.texts = 0
        """That are being written or scored."""
        self._writer: Writer | None = None
        self._scorer: Scorer | None = None
        self._page: asyncio.Task[Page] | None = None

    @contextlib.asynccontextmanager
    async def running(self, _: Starlette) -> AsyncIterator[None]:
        """Has a writer while the block runs."""
        loop = asyncio.get_running_loop()

        self._writer = Writer(self.loaded, lambda jobs: loop.call_soon_threadsafe(_tell, jobs))
        try:
            yield
        finally:
            self.end()

    def end(self) -> None:
        """Answer those that wait that this is the end."""
        if self._writer is not None:
            self._writer.close()

    @contextlib.contextmanager
    def admitted(self, texts: int) -> Iterator[None]:
        """Room for so many texts, which is held in the block.

        Raises:
            Refused: there is none.
        """
        if self.texts + texts > self.limits.max_texts:
            raise Refused(
                429,
                f"{self.texts} texts are being written, of {self.limits.max_texts} that may be (max_texts): ask again",
                {"retry-after": "1"},
            )
        self.texts += texts
        try:
            yield
        finally:
            self.texts -= texts

    # The routes

    async def page(self, _: Request) -> Response:
        """A page to write in."""
        if self._page is None or (self._page.done() and self._page.exception() is not None):
            self._page = asyncio.create_task(run_in_threadpool(lambda: page_of(in_float32(self.loaded))))
        page = await asyncio.shield(self._page)
        headers = {"x-content-type-options": "nosniff"}
        if page.policy is not None:
            headers["content-security-policy"] = page.policy
        return HTMLResponse(page.html, headers=headers)

    async def health(self, _: Request) -> Response:
        """Whether it answers, and how busy it is."""
        return JSONResponse(
            {"status": "ok", "model": self.name, "texts": self.texts, "max_texts": self.limits.max_texts}
        )

    async def models(self, _: Request) -> Response:
        """The one model."""
        created = int(self.loaded.checkpoint.stat().st_mtime) if self.loaded.checkpoint.exists() else 0
        model = {"id": self.name, "object": "model", "created": created, "owned_by": "lstm-lm"}
        return JSONResponse({"object": "list", "data": [model]})

    async def score(self, request: Request) -> Response:
        """How likely a text is."""
        asked = ScoreRequest.of(await json_object(request, self.limits.max_characters), self.limits)
        with self.admitted(1):
            if self._scorer is None:
                self._scorer = Scorer(twin(self.loaded), self.limits)
            rows = await run_in_threadpool(self._scorer.rows, asked)
        return JSONResponse({"object": "list", "model": self.name, "data": rows})

    async def complete(self, request: Request) -> Response:
        """Text."""
        asked = CompletionRequest.of(await json_object(request, self.limits.max_characters), self.limits)
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.admitted(asked.texts))
            jobs = await run_in_threadpool(self._begin, asked)
            writer = self._writer
            assert writer is not None
            for job in jobs:
                writer.submit(job)
                stack.callback(writer.cancel, job)
            if asked.stream:
                events = self._events(asked, jobs)
                seconds = self.limits.max_seconds + SECONDS_TO_READ
                return EventStream(events, stack.pop_all().close, seconds)
            written = await _unless_gone(request, _written(jobs, asked))
        if written is None:
            return Response(status_code=CLIENT_GONE)
        return JSONResponse(Completion(self.name).of(written, usage_of(jobs)))

    def _begin(self, asked: CompletionRequest) -> list[Job]:
        settings, limits = asked.settings(self.loaded.autocast), self.limits
        begun = (begin(self.loaded, prompt, asked.n, settings) for prompt in asked.prompts)
        return [Job(one, asked.max_tokens, limits.max_seconds) for one in begun]

    async def _events(self, asked: CompletionRequest, jobs: list[Job]) -> AsyncIterator[bytes]:
        """The answer, as server-sent events."""
        answer = Completion(self.name)
        try:
            async for pieces in _told(jobs, asked):
                for piece in pieces:
                    yield _event(answer.of([choice(piece.which, piece.text, piece.finish)]))
        except Exception as error:
            yield _event(refusal_of(error).body)
        else:
            if asked.includes_usage:
                yield _event(answer.of([], usage_of(jobs)))
        yield b"data: [DONE]\n\n"


def _tell(jobs: list[Job]) -> None:
    for job in jobs:
        job.ready.set()


class EventStream(StreamingResponse):
    """Server-sent events; lets go of what they come from, however they end."""

    def __init__(self, events: AsyncIterator[bytes], let_go: Callable[[], object], seconds: float) -> None:
        super().__init__(events, headers={"cache-control": "no-store"}, media_type="text/event-stream")
        self._let_go = let_go
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, unless the client goes away or takes too long."""
        try:
            with contextlib.suppress(TimeoutError):  # an answer that stops here is cut off by the server
                async with asyncio.timeout(self._seconds):
                    await super().__call__(scope, receive, send)
        finally:
            self._let_go()


async def _told(jobs: list[Job], asked: CompletionRequest) -> AsyncIterator[list[Piece]]:
    """What is written, as it comes: what has come together is one piece a text.

    Raises:
        Exception: a job's error.
    """
    waiting: set[asyncio.Task[Any]] = set()
    queue: asyncio.Queue[list[Piece] | Exception | None] = asyncio.Queue(1)

    async def follow(number: int, job: Job) -> None:
        offset = number * asked.n
        if asked.echo and job.begun.shown:
            await queue.put([Piece(offset + index, job.begun.shown, None) for index in range(asked.n)])
        held = {index: 0 if asked.echo else len(job.begun.held) for index in range(asked.n)}
        ended = False
        while not ended:
            await job.ready.wait()
            job.ready.clear()
            ended = job.ended  # asked before the pieces are taken: those of the end are there then
            together: dict[int, Piece] = {}
            while job.pieces:
                piece = job.pieces.popleft()
                before = together.get(piece.which)
                text = piece.text[held[piece.which] :]  # of the prompt's end, which was given
                held[piece.which] -= len(piece.text) - len(text)
                together[piece.which] = Piece(
                    offset + piece.which, (before.text if before else "") + text, piece.finish
                )
            if found := [piece for piece in together.values() if piece.text or piece.finish]:
                await queue.put(found)
        await queue.put(job.error)

    try:
        waiting = {asyncio.create_task(follow(number, job)) for number, job in enumerate(jobs)}
        left = len(jobs)
        while left:
            found = await queue.get()
            if isinstance(found, Exception):
                raise found
            if found is None:
                left -= 1
            else:
                yield found
    finally:
        for task in waiting:
            task.cancel()


async def _written(jobs: list[Job], asked: CompletionRequest) -> list[dict[str, Any]]:
    """All texts, in whole."""
    texts: dict[int, list[str]] = {index: [] for index in range(asked.texts)}
    finish: dict[int, str | None] = {}
    async for pieces in _told(jobs, asked):
        for piece in pieces:
            texts[piece.which].append(piece.text)
            finish[piece.which] = piece.finish
    return [choice(index, "".join(parts), finish[index]) for index, parts in texts.items()]


async def _unless_gone(request: Request, answer: Awaitable[Answer]) -> Answer | None:
    """The answer; None: the client has gone away before it was there."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    work, leave = asyncio.ensure_future(answer), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({work, leave}, return_when=asyncio.FIRST_COMPLETED)
        return work.result() if work.done() else None
    finally:
        work.cancel()
        leave.cancel()


def _event(data: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode("ascii") + b"\n\n"


def app_of(service: Service) -> Starlette:
    """The whole of it."""
    routes = [
        Route("/", service.page),
        Route("/health", service.health),
        Route("/v1/models", service.models),
        Route("/score", service.score, methods=["POST"]),
        Route("/generate", service.complete, methods=["POST"]),
        Route("/v1/completions", service.complete, methods=["POST"]),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, host=service.limits.host)],
        exception_handlers=dict.fromkeys((HTTPException, UserError, Refused, Exception), told),
        lifespan=service.running,
    )
