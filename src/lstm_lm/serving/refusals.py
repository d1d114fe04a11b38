"""What a client is told that gets no answer: a status, and JSON in the form of the OpenAI API."""

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lstm_lm.errors import RunError, UserError

CODES = {
    400: "invalid_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    413: "too_long",
    429: "too_many_requests",
    500: "failed",
    503: "unavailable",
}


class Refused(Exception):
    """Ends a request."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers

    @property
    def body(self) -> dict[str, Any]:
        """What the client reads."""
        kind = "invalid_request_error" if self.status < 429 else "server_error"
        return {"error": {"message": str(self), "type": kind, "param": None, "code": CODES.get(self.status)}}


def refusal_of(error: Exception) -> Refused:
    """What a client is told of an error; of one that is no user's, only that there was one."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, HTTPException):
        return Refused(error.status_code, error.detail, error.headers)
    if isinstance(error, RunError):
        return Refused(500, str(error))
    if isinstance(error, UserError):
        return Refused(400, str(error))
    return failed()


def failed() -> Refused:
    """Of what is no client's fault, and is said elsewhere."""
    return Refused(500, "the server failed; its log says why")


async def told(_: Request, error: Exception) -> Response:
    """The answer to a request that ended with an error."""
    refusal = refusal_of(error)
    return JSONResponse(refusal.body, refusal.status, refusal.headers)
