"""The server around the routes: its socket, its signals, its end."""

import errno
import os
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from lstm_lm.errors import Interrupted, UserError
from lstm_lm.models.loading import Loaded
from lstm_lm.serving.app import Service, app_of
from lstm_lm.serving.options import ServeOptions

BACKLOG = 1024
SECONDS_TO_END = 5
"""For answers that are being sent, after which they are cut off."""


def listening(host: str, port: int) -> socket.socket:
    """A socket at this address, which is this process's from now on; `port` 0: any that is free.

    Raises:
        UserError: the port is in use, or may not be used; there is no such address here.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError):
        raise UserError(
            f"host={host}: no such address\nuse 127.0.0.1 (this machine alone), or one of its own"
        ) from None
    made = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # Windows means something else by it: two servers at one port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise _refusal(host, port, error) from None
    return made


def _refusal(host: str, port: int, error: OSError) -> UserError:
    if error.errno == errno.EADDRINUSE:
        return UserError(f"port={port}: in use; choose another one, or port=0 for any that is free")
    if error.errno == errno.EADDRNOTAVAIL:
        return UserError(f"host={host}: not an address of this machine; use 127.0.0.1, or one of its own")
    return UserError(f"host={host} port={port}: {error.strerror or error}; choose another one")


class Server(uvicorn.Server):
    """uvicorn's, which says when it has started, and ends what is being written when it is to end."""

    def __init__(self, loaded: Loaded, options: ServeOptions, started: Callable[[], None]) -> None:
        self._service = Service(loaded, options)
        self._say_started = started
        self.ended_by: int | None = None
        """The signal that ended it."""
        super().__init__(
            uvicorn.Config(
                app_of(self._service),
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws="none",
                lifespan="on",
                backlog=BACKLOG,
                timeout_graceful_shutdown=SECONDS_TO_END,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        self._say_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End."""
        self._service.end()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """A signal; a second one does not wait for answers that are being sent."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self.ended_by = sig


def serve(loaded: Loaded, options: ServeOptions, at: socket.socket, started: Callable[[], None]) -> None:
    """Answer requests until a signal comes.

    Args:
        loaded: the model, which nothing else runs meanwhile.
        options: what bounds it.
        at: a socket that listens.
        started: called when it answers.

    Raises:
        KeyboardInterrupt, Interrupted: the signal, after a clean end.
    """
    server = Server(loaded, options, started)
    server.run(sockets=[at])
    if server.ended_by == signal.SIGINT:
        raise KeyboardInterrupt
    if server.ended_by is not None:
        raise Interrupted(server.ended_by)
