"""A connection to the services of a mesh, and what every call over it has: identity, deadline, retries."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import grpc

from ragmesh.errors import InvalidArgument, MeshError, ResourceExhausted, Unavailable
from ragmesh.rpc.auth.present import present_of
from ragmesh.rpc.channels import connect
from ragmesh.rpc.context import CallOptions, bound, outgoing
from ragmesh.rpc.errors import translated
from ragmesh.settings import Settings
from ragmesh.telemetry import logs
from ragmesh.v1 import AdminServiceStub, DocumentServiceStub, QueryServiceStub

FIRST_PAUSE_S = 0.2
PAUSE_MAX_S = 5.0

Answer = TypeVar("Answer")
Message = TypeVar("Message")


class _Page(Protocol):
    next_page_token: str


class _PageRequest(Protocol):
    page_token: str


Page = TypeVar("Page", bound=_Page)


class Connection:
    """The services of one mesh. Use it with `async with`."""

    def __init__(self, settings: Settings, *, tenant: str, retries: int) -> None:
        """`retries` is how often a call that is safe to repeat is repeated."""
        self._settings = settings
        self._tenant = tenant
        self._present = present_of(settings)
        self._retries = retries
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        logs.configure_library()
        async with AsyncExitStack() as opening:
            channels = [connect(self._settings, service) for service in ("document", "query", "admin")]
            try:
                await asyncio.gather(*map(opening.enter_async_context, channels))
            except ValueError as error:
                raise InvalidArgument(str(error)) from None
            self._open = opening.pop_all()
        documents, query, admin = channels
        self._documents = DocumentServiceStub(documents)
        self._query = QueryServiceStub(query)
        self._admin = AdminServiceStub(admin)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    def _options(self, timeout_s: float | None = None) -> CallOptions:
        """Deadline and metadata of a call; the settings' usual deadline where none is given."""
        with bound(tenant=self._tenant):  # for each call: whichever task makes it, it is this client's
            given_s = self._settings.call_timeout_s if timeout_s is None else timeout_s
            return outgoing(given_s, self._present)

    async def _call(
        self, method: Callable[..., Awaitable[Answer]], request: object, timeout_s: float | None = None
    ) -> Answer:
        """Makes a call once."""
        with translated():
            return await method(request, **self._options(timeout_s))

    async def _repeatable(
        self, method: Callable[..., Awaitable[Answer]], request: object, timeout_s: float | None = None
    ) -> Answer:
        """Makes a call that is safe to repeat, and repeats it where that can help."""
        deadline = time.monotonic() + (self._settings.call_timeout_s if timeout_s is None else timeout_s)
        tries = 0
        while True:
            try:
                return await self._call(method, request, deadline - time.monotonic())
            except (Unavailable, ResourceExhausted) as error:
                await self._pause(error, tries, deadline)
                tries += 1

    async def _stream(
        self,
        method: "Callable[..., grpc.aio.UnaryStreamCall[Any, Message]]",
        request: object,
        timeout_s: float,
        *,
        resumes: bool = False,
    ) -> AsyncGenerator[Message, None]:
        """What a streaming call brings: begun again where that can help, until its first message has come.

        One that `resumes` tells the present state first, and is begun again later too. Closing the generator ends
        the call on the server too.
        """
        deadline = time.monotonic() + timeout_s
        begun, tries = False, 0
        while True:
            with translated():
                call = method(request, **self._options(deadline - time.monotonic()))
            try:
                async for message in _messages(call):
                    begun, tries = True, 0
                    yield message
            except (Unavailable, ResourceExhausted) as error:
                if begun and not resumes:
                    raise
                await self._pause(error, tries, deadline)
                tries += 1
            else:
                return
            finally:
                call.cancel()

    async def _pages(
        self,
        method: Callable[..., Awaitable[Page]],
        request: _PageRequest,
        timeout_s: float | None,
    ) -> AsyncIterator[Page]:
        """Every page of a list; the deadline is that of each."""
        while True:
            page = await self._repeatable(method, request, timeout_s)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def _pause(self, error: MeshError, tries: int, deadline: float) -> None:
        """Waits until it is worth trying again: as long as the server said, else longer each time.

        Raises the error where that would be too late, too often, or no help: a limit that names no time stays.
        """
        hopeless = isinstance(error, ResourceExhausted) and error.retry_after_s is None
        longest_s = min(PAUSE_MAX_S, FIRST_PAUSE_S * 2**tries)
        pause_s = error.retry_after_s or longest_s * random.uniform(0.5, 1)  # noqa: S311 so that clients spread
        if hopeless or tries >= self._retries or time.monotonic() + pause_s >= deadline:
            raise error
        await asyncio.sleep(pause_s)


async def _messages(call: "grpc.aio.UnaryStreamCall[Any, Message]") -> AsyncIterator[Message]:
    with translated():
        async for message in call:
            yield message
