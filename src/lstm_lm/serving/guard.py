"""Keeps the pages of other sites from using a server that is meant for this machine's own.

A browser says in `Origin` whose page asks, and in `Host` what name it asked for. Another site's page may send requests
to 127.0.0.1, and its name may lead there (DNS rebinding).
"""

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from lstm_lm.serving.refusals import Refused, told


class Guard:
    """Refuses requests from other origins and, where the server listens on this machine alone, other names of it."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        """Stand before `app`, which listens at `host`."""
        self._app = app
        self._host = host
        self._own_alone = is_own(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The request goes on to the app, or ends here."""
        if scope["type"] == "http" and (why := self._wrong(Headers(scope=scope))) is not None:
            answer = await told(Request(scope), Refused(403, why))
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _wrong(self, headers: Headers) -> str | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        try:
            name, site = urlsplit(f"//{host}").hostname or "", urlsplit(origin or "").netloc
        except ValueError:
            return "Host or Origin is no address"
        if self._own_alone and not is_own(name) and name != self._host:
            return "this server is for this machine's own programs: ask for it as 127.0.0.1 or localhost"
        if origin is not None and site != host:
            return "pages of other sites may not use this server"
        return None


def is_own(host: str) -> bool:
    """Whether this address or name is of this machine, for itself alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
