"""Clients that go away, or do not take what is sent: who need not be answered any more."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

SECONDS_TO_READ = 60.0
"""For a client to take what has been written, after which it is let go."""
GONE = 499
"""nginx's status for it; nobody reads it."""

Answer = TypeVar("Answer")


async def unless_gone(request: Request, answer: Awaitable[Answer]) -> Answer | None:
    """The answer; None: the client has gone away before it was there, and it has been cancelled."""

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


class EventStream(StreamingResponse):
    """Server-sent events; lets go of what they come from, however they end."""

    def __init__(self, events: AsyncIterator[bytes], let_go: Callable[[], object], seconds: float) -> None:
        """Send `events`, which take so many seconds to make at most; call `let_go` afterwards."""
        super().__init__(events, headers={"cache-control": "no-store"}, media_type="text/event-stream")
        self._let_go = let_go
        self._seconds = seconds + SECONDS_TO_READ

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, unless the client goes away or takes too long."""
        try:
            with contextlib.suppress(TimeoutError):  # an answer that stops here is cut off by the server
                async with asyncio.timeout(self._seconds):
                    await super().__call__(scope, receive, send)
        finally:
            self._let_go()
