"""The routes: what is asked for, and how it is answered."""

import asyncio
import contextlib
import json
import sys
import traceback
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from lstm_lm.errors import UserError
from lstm_lm.generation.begun import begin
from lstm_lm.models.loading import Loaded
from lstm_lm.serving.bodies import json_object
from lstm_lm.serving.clients import GONE, EventStream, unless_gone
from lstm_lm.serving.completion import Completion, CompletionRequest, choice, model_name, usage_of
from lstm_lm.serving.following import Followed
from lstm_lm.serving.guard import Guard
from lstm_lm.serving.options import ServeOptions
from lstm_lm.serving.page import Page, page_of
from lstm_lm.serving.refusals import Refused, refusal_of, told
from lstm_lm.serving.scoring import Scorer, ScoreRequest
from lstm_lm.serving.twin import in_float32
from lstm_lm.serving.writer import Job, Writer


class Service:
    """A model, and who is being answered."""

    def __init__(self, loaded: Loaded, limits: ServeOptions) -> None:
        self.loaded = loaded
        self.limits = limits
        self.name = model_name(loaded)
        self.texts = 0
        """That are being written or scored."""
        self._created = int(loaded.checkpoint.stat().st_mtime) if loaded.checkpoint.exists() else 0
        self._writer: Writer | None = None
        self._scorer = Scorer(loaded, limits)
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
        works = self._writer is not None and self._writer.works
        about = {"model": self.name, "texts": self.texts, "max_texts": self.limits.max_texts}
        return JSONResponse({"status": "ok" if works else "failed", **about}, 200 if works else 503)

    async def models(self, _: Request) -> Response:
        """The one model."""
        model = {"id": self.name, "object": "model", "created": self._created, "owned_by": "lstm-lm"}
        return JSONResponse({"object": "list", "data": [model]})

    async def score(self, request: Request) -> Response:
        """How likely a text is."""
        asked = ScoreRequest.of(await json_object(request, self.limits.max_characters), self.limits)
        with self.admitted(1):
            rows = await unless_gone(request, self._scorer.rows(asked))
        if rows is None:
            return Response(status_code=GONE)
        return JSONResponse({"object": "list", "model": self.name, "data": rows})

    async def complete(self, request: Request) -> Response:
        """Text."""
        asked = CompletionRequest.of(await json_object(request, self.limits.max_characters), self.limits)
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.admitted(asked.texts))
            ready = asyncio.Event()
            jobs = await run_in_threadpool(self._begin, asked, ready)
            writer = self._writer
            assert writer is not None
            for job in jobs:
                writer.submit(job)
                stack.callback(writer.cancel, job)
            followed = Followed(jobs, asked.n, asked.echo, ready)
            if asked.stream:
                return EventStream(self._events(asked, followed), stack.pop_all().close, self.limits.max_seconds)
            texts = await unless_gone(request, followed.whole())
        if texts is None:
            return Response(status_code=GONE)
        choices = [choice(which, *written) for which, written in enumerate(texts)]
        return JSONResponse(Completion(self.name).of(choices, usage_of(jobs)))

    def _begin(self, asked: CompletionRequest, ready: asyncio.Event) -> list[Job]:
        settings, limits = asked.settings(self.loaded.autocast), self.limits
        begun = (begin(self.loaded, prompt, asked.n, settings) for prompt in asked.prompts)
        return [Job(one, asked.max_tokens, limits.max_seconds, ready) for one in begun]

    async def _events(self, asked: CompletionRequest, followed: Followed) -> AsyncIterator[bytes]:
        """The answer, as server-sent events."""
        answer = Completion(self.name)
        try:
            async for pieces in followed.pieces():
                for piece in pieces:
                    yield _event(answer.of([choice(*piece)]))
        except Exception as error:
            if not isinstance(error, (Refused, UserError)):
                traceback.print_exc(file=sys.stderr)
            yield _event(refusal_of(error).body)
        else:
            if asked.includes_usage:
                yield _event(answer.of([], usage_of(followed.jobs)))
        yield b"data: [DONE]\n\n"


def _tell(jobs: list[Job]) -> None:
    for job in jobs:
        job.ready.set()


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
