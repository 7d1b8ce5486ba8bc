"""Connections, before and between the requests on them: how many there may be, and how long each may take to ask.

aiohttp bounds the lines and the headers of a request's head; that the head comes in time is seen to here.
"""

import asyncio
import resource
from contextlib import suppress
from http import HTTPStatus

import structlog
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_request import BaseRequest
from prometheus_client import Counter, Gauge

from gateway.memory import Ebb
from gateway.problem import problem
from ragmesh.settings import Settings

log = structlog.get_logger()

OPEN = Gauge("ragmesh_http_connections", "Connections to the edge")
REFUSED = Counter("ragmesh_http_connections_refused_total", "Connections that were one too many")
MALFORMED = Counter("ragmesh_http_malformed_total", "What came in the place of a request")

LINE_MAX_BYTES = 8190  # the request line, and each header
HEADERS_MAX = 100
LINGER_S = 5.0  # how long the rest of a body is read that nobody wants, so that its sender hears the answer
FULL_S = 2.0  # how long one connection too many may take to ask, and be told
FULL_MAX = 256  # how many of those there may be
FILES_KEPT = 512  # descriptors for everything that is no connection to the edge


class Connections:
    """Makes a protocol for each connection that a listening socket accepts."""

    def __init__(self, server: web.Server, settings: Settings) -> None:
        self._server = server
        self._settings = settings
        self._open: set[Connection] = set()
        self._ebb = Ebb()
        self.most = min(settings.connections_max, _raise_file_limit(settings.connections_max) - FILES_KEPT)

    def __call__(self) -> "Connection":
        return Connection(self, self._server, self._settings)

    def enter(self, connection: "Connection") -> int:
        """Counts a connection; returns how many there are beyond the limit."""
        self._open.add(connection)
        OPEN.set(len(self._open))
        return len(self._open) - self.most

    def leave(self, connection: "Connection") -> None:
        """No longer counts it."""
        self._open.discard(connection)
        OPEN.set(len(self._open))
        self._ebb.left()


class Connection(web.RequestHandler):
    """A connection whose requests come in time, or not at all."""

    __slots__ = ("_connections", "_head_timeout_s", "_is_one_too_many", "_timer")

    def __init__(self, connections: Connections, server: web.Server, settings: Settings) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # pyright: ignore[reportArgumentType] None is what it takes for none
            keepalive_timeout=settings.idle_timeout_s,
            lingering_time=LINGER_S,
            max_line_size=LINE_MAX_BYTES,
            max_field_size=LINE_MAX_BYTES,
            max_headers=HEADERS_MAX,
        )
        self._connections = connections
        self._head_timeout_s = settings.head_timeout_s
        self._is_one_too_many = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        beyond = self._connections.enter(self)
        if beyond > FULL_MAX:
            REFUSED.inc()
            self._end()
            return
        self._is_one_too_many = beyond > 0
        self._begin_head(FULL_S if self._is_one_too_many else self._head_timeout_s)

    def data_received(self, data: bytes) -> None:
        if self._is_one_too_many:
            REFUSED.inc()
            self._say(HTTPStatus.SERVICE_UNAVAILABLE, "Retry-After: 1\r\n")
            return
        before = self._request_count
        super().data_received(data)
        if self._request_count > before:
            self._end_head()
        elif not self._timer and self._waiter and not self._waiter.done():
            self._begin_head(self._head_timeout_s)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._end_head()
        self._connections.leave(self)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What a client hears whose bytes are no request; faults of ours are answered before they come here."""
        MALFORMED.inc()
        log.info("http.malformed", remote=request.remote, reason=type(exc).__name__)
        if isinstance(exc, LineTooLong):
            status, message = 431, f"a line of the head is longer than {LINE_MAX_BYTES} bytes"
        reason = (message or HTTPStatus(status).phrase).partition("\n")[0].rstrip(":")
        response = problem(request, status, f"this is no request that can be read: {reason}")
        response.force_close()
        return response

    def _begin_head(self, within_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(within_s, self._too_late)

    def _end_head(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        self._say(HTTPStatus.REQUEST_TIMEOUT)

    def _say(self, status: HTTPStatus, headers: str = "") -> None:
        """A status without a request to answer, and the end."""
        if self.transport:
            head = f"HTTP/1.1 {status.value} {status.phrase}\r\n{headers}"
            self.transport.write(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        self._end()

    def _end(self) -> None:
        self._end_head()
        self.force_close()


def _raise_file_limit(wanted: int) -> int:
    """Lets this process have as many files open as it may; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted + FILES_KEPT if hard == resource.RLIM_INFINITY else min(hard, wanted + FILES_KEPT)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):  # the system's own bound is lower
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted + FILES_KEPT if soft == resource.RLIM_INFINITY else soft
