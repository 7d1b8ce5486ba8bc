"""A connection to Triton, as all of its clients here use it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import structlog
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub  # pyright: ignore[reportAttributeAccessIssue] generated, no stubs
from tritonclient.utils import InferenceServerException

from ragmesh.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    MeshError,
    NotFound,
    Unavailable,
)
from ragmesh.inference import servers

Result = TypeVar("Result")

log = structlog.get_logger()

CALL_S = 5.0  # for everything but inference
LOAD_S = 300.0  # large weights take their time
STARTUP_PAUSE_S = 0.25
SILENCE_S = 10.0  # between two log lines while waiting
STUB_DIED = "Stub process"
RELOADING = "has no available versions"
STOPPING = "Server is stopping"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A version of a model, as the server tells it."""

    name: str
    version: str
    state: str  # "READY", "UNAVAILABLE", "LOADING" or "UNLOADING"
    reason: str
    parameters: Mapping[str, str]  # of its configuration; empty unless it is ready
    successes: int
    failures: int


class Triton:
    """A client of one server, or of several that have the same models. Use it with `async with`.

    Inference goes to the server with less to do; what changes models goes to all of them.
    """

    def __init__(self, url: str) -> None:
        """`url`: see `servers`."""
        self.url = url
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        if balanced := servers.balanced(self.url):
            channel = await self._opened.enter_async_context(balanced)
            self._channels = lambda: {each.endpoint.address: each.channel for each in balanced.pool.instances}
        else:
            channel = await self._opened.enter_async_context(servers.dial(self.url))
            self._channels = lambda: {self.url: channel}
        self.client = _client(channel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    def addresses(self) -> set[str]:
        """Of the servers that are known now."""
        return {*self._channels()}

    def _all(self) -> list[Any]:
        return [_client(channel) for channel in self._channels().values()]

    async def parameters(self, model: str) -> Mapping[str, str]:
        """The parameters of a ready model's configuration."""
        with translated():
            answer = await self.client.get_model_config(model, client_timeout=CALL_S)
        return {name: value.string_value for name, value in answer.config.parameters.items()}

    async def wait_for_model(self, model: str) -> Mapping[str, str]:
        """Waits until a model is ready, however long, and returns its parameters."""
        said = float("-inf")
        while True:
            try:
                if await self.client.is_model_ready(model, client_timeout=CALL_S):
                    return await self.parameters(model)
            except (InferenceServerException, MeshError) as error:
                reason = str(error)
            else:
                reason = "not ready"
            if time.monotonic() - said > SILENCE_S:
                said = time.monotonic()
                log.info("triton.waiting", url=self.url, model=model, reason=reason)
            await asyncio.sleep(STARTUP_PAUSE_S)

    async def version(self) -> str:
        """The server's version. Raises Unavailable."""
        with translated():
            return (await self.client.get_server_metadata(client_timeout=CALL_S)).version

    async def models(self) -> list[ModelStatus]:
        """Every model of the repository, by name, with what it has served."""
        return [await self._status(entry) for entry in await self._index()]

    async def names(self) -> list[str]:
        """The models of the repository, loaded or not. Raises Unavailable."""
        return [entry.name for entry in await self._index()]

    async def _index(self) -> list[Any]:
        with translated():
            index = await self.client.get_model_repository_index(client_timeout=CALL_S)
        return sorted(index.models, key=lambda entry: (entry.name, entry.version))

    async def _status(self, entry: Any) -> ModelStatus:
        if entry.state != "READY":
            return ModelStatus(entry.name, entry.version, entry.state or "UNAVAILABLE", entry.reason, {}, 0, 0)
        parameters = await self.parameters(entry.name)
        with translated():
            statistics = await self.client.get_inference_statistics(
                entry.name, entry.version, client_timeout=CALL_S
            )
        counts = statistics.model_stats[0].inference_stats
        return ModelStatus(
            entry.name,
            entry.version,
            entry.state,
            entry.reason,
            parameters,
            successes=counts.success.count,
            failures=counts.fail.count,
        )

    async def is_ready(self, model: str) -> bool:
        """Whether a model takes requests, everywhere. Raises Unavailable where a server doesn't."""
        with translated():
            return all(await _each(client.is_model_ready(model, client_timeout=CALL_S) for client in self._all()))

    async def load(self, model: str) -> None:
        """Loads a model, or what has changed of it. What was served until then is served meanwhile.

        Raises MeshError with the server's reason.
        """
        with translated():
            await _each(client.load_model(model, client_timeout=LOAD_S) for client in self._all())

    async def unload(self, model: str) -> None:
        """Takes no more requests for a model, and frees what it takes when those that run are done."""
        with translated():
            await _each(client.unload_model(model, client_timeout=CALL_S) for client in self._all())

    async def reload(self, model: str) -> None:
        """Unloads and loads a model: the only cure for one whose Python process has died."""
        await self.unload(model)
        await self.load(model)


BY_STATUS: Mapping[str, Callable[[str], MeshError]] = {
    "UNAVAILABLE": lambda message: Unavailable(f"the inference server is away or busy: {message}"),
    "DEADLINE_EXCEEDED": lambda _: DeadlineExceeded("the inference server did not answer in time"),
    "CANCELLED": lambda _: Unavailable("the inference server ended the request; try again"),
    "INVALID_ARGUMENT": InvalidArgument,
    "INVALID_ARG": InvalidArgument,  # the Python backend's word for it
    "NOT_FOUND": NotFound,
    "FAILED_PRECONDITION": FailedPrecondition,
}


def _internal(message: str) -> MeshError:
    return Internal(f"the inference server failed: {message}")


def _client(channel: grpc.aio.Channel) -> Any:
    """Tritonclient's client on a channel of ours: its own knows one server."""
    client: Any = InferenceServerClient("localhost")  # which it does not connect to
    client._client_stub = GRPCInferenceServiceStub(channel)  # noqa: SLF001 it has no other way in
    return client


async def _each(calls: Iterable[Awaitable[Result]]) -> list[Result]:
    return await asyncio.gather(*calls)


@contextmanager
def translated() -> Iterator[None]:
    """Raises `ragmesh.errors` in the place of tritonclient's one exception."""
    try:
        yield
    except InferenceServerException as error:
        raise from_triton(error) from None
    except grpc.aio.AioRpcError as error:  # tritonclient lets those of a stream through
        raise from_triton(InferenceServerException(error.details() or "", str(error.code()))) from None


def from_triton(error: InferenceServerException) -> MeshError:
    """The error that a failure of Triton means for a caller."""
    message = error.message() or "Triton gave no reason"
    status = (error.status() or "").removeprefix("StatusCode.")
    if not status:  # an error on a stream: its status leads the message, where the model put it there
        status, _, rest = message.partition(": ")
        message = rest if status in BY_STATUS else message
    if STUB_DIED in message:  # the server calls it INTERNAL; the watchdog cures it within seconds
        return Unavailable("the model's process has died and is being restarted; try again")
    if STOPPING in message:  # and gives no status
        return Unavailable("the inference server is being stopped; try again")
    if RELOADING in message:  # the server calls it NOT_FOUND
        return Unavailable("the model is being loaded; try again")
    return BY_STATUS.get(status, _internal)(message)
