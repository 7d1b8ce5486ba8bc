"""What every call to a server of ragmesh goes through: context, limit, gate, trace, log, metrics, errors."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import grpc
import structlog
from opentelemetry import trace

from ragmesh.errors import Internal, InvalidArgument, MeshError, ResourceExhausted
from ragmesh.rpc import context as calls
from ragmesh.rpc.auth.gate import Gate
from ragmesh.rpc.auth.needs import OPEN
from ragmesh.rpc.auth.tokens import SERVICE_TOKEN_KEY
from ragmesh.rpc.config import Live
from ragmesh.rpc.errors import details_of, status_of
from ragmesh.rpc.load import Load
from ragmesh.telemetry import traces

log = structlog.get_logger()

UNCOUNTED = "/ragmesh.v1.InstanceService/"  # how a process does is asked every moment
BUSY_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes that are not the message they should be."""

    reason: str


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps each handler, so that handlers only translate and delegate, and raise `ragmesh.errors`."""

    def __init__(self, load: Load, live: Live, gate: Gate) -> None:
        self._load = load
        self._live = live
        self._gate = gate

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Takes the place of the handler that the server would have called."""
        handler = await continuation(handler_call_details)
        method: str = handler_call_details.method
        if handler is None or method.startswith(OPEN):
            return handler
        metadata = _text_metadata(handler_call_details)
        if method.startswith(UNCOUNTED):
            return self._admitted(handler, method, metadata)
        arity = f"{_side(handler.request_streaming)}_{_side(handler.response_streaming)}"
        behaviour = getattr(handler, arity)

        async def answer_once(request: Any, context: grpc.aio.ServicerContext) -> Any:
            async with self._call(method, metadata, context):
                if handler.request_streaming:
                    return await behaviour(_whole(_checked_each(request), context), context)
                return await behaviour(_wellformed(request), context)

        async def answer_stream(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            wellformed = (
                self._admitted_each(request, method, metadata)
                if handler.request_streaming
                else _wellformed(request)
            )
            async with (
                self._call(method, metadata, context),
                aclosing(behaviour(wellformed, context)) as responses,
            ):
                async for response in responses:
                    yield response

        return getattr(grpc, f"{arity}_rpc_method_handler")(
            answer_stream if handler.response_streaming else answer_once,
            request_deserializer=_tolerant(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    async def _admitted_each(
        self, requests: AsyncIterator[Any], method: str, metadata: dict[str, str]
    ) -> AsyncIterator[Any]:
        """The requests of a conversation. It may outlive the key that began it, which so is asked for with each.

        Parts of the mesh are believed once: their tokens are short-lived.
        """
        async for request in requests:
            if SERVICE_TOKEN_KEY not in metadata:
                await self._gate.admit(method, metadata)
            yield _wellformed(request)

    def _admitted(self, handler: Any, method: str, metadata: dict[str, str]) -> Any:
        """A handler behind the gate, and nothing more."""

        async def answer(request: Any, context: grpc.aio.ServicerContext) -> Any:
            try:
                await self._gate.admit(method, metadata)
            except MeshError as error:
                await _abort(context, error)
            return await handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    @asynccontextmanager
    async def _call(
        self, method: str, metadata: dict[str, str], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[None]:
        calls.enter(metadata.get(calls.REQUEST_ID_KEY) or calls.new_request_id(), context.time_remaining())
        span = traces.begin_server_span(method.removeprefix("/"), metadata)
        began, code = time.perf_counter(), "OK"
        self._load.begin()
        try:
            most = self._live.now.in_flight_max
            if self._load.in_flight > most:
                raise ResourceExhausted(
                    f"this server handles {most} calls at once, and that many are running",
                    retry_after_s=BUSY_RETRY_S,
                )
            calls.identify(await self._gate.admit(method, metadata))
            yield
        except (asyncio.CancelledError, GeneratorExit):
            code = "CANCELLED"
            raise
        except MeshError as error:
            code = error.code
            await _abort(context, error)
        except Exception as fault:
            code = "INTERNAL"
            span.record_exception(fault)
            log.exception("rpc.failed", method=method)
            await _abort(context, Internal(f"internal error; the log has it under request {calls.request_id()}"))
        finally:
            seconds = time.perf_counter() - began
            self._load.end(method, code, seconds)
            _end_span(span, code)
            log.debug("rpc.done", method=method, code=code, seconds=round(seconds, 4))


def _side(streaming: bool) -> str:  # noqa: FBT001 one of two sides
    return "stream" if streaming else "unary"


async def _abort(context: grpc.aio.ServicerContext, error: MeshError) -> None:
    await context.abort(status_of(error), error.message, details_of(error, calls.request_id()))


def _end_span(span: trace.Span, code: str) -> None:
    span.set_attribute("rpc.grpc.status", code)
    if code != "OK":
        span.set_status(trace.StatusCode.ERROR, code)
    span.end()


def _text_metadata(details: grpc.HandlerCallDetails) -> dict[str, str]:
    pairs = cast("tuple[tuple[str, str | bytes], ...]", details.invocation_metadata or ())
    return {key: value for key, value in pairs if isinstance(value, str)}


def _tolerant(deserializer: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """Lets a malformed message through as such: grpc itself would answer UNKNOWN with a Python error."""
    if deserializer is None:
        return None

    def deserialize(data: bytes) -> Any:
        try:
            return deserializer(data)
        except Exception as error:  # noqa: BLE001 the decoder raises whatever its input provokes
            return Malformed(f"{type(error).__name__}: {error}")

    return deserialize


async def _whole(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
    """The requests of a stream that is answered once. One that was cancelled does not look complete.

    To grpc.aio a cancelled stream ends like a finished one, and the cancellation comes a moment later. Sending the
    initial metadata asks the transport, behind whatever has happened to the call.
    """
    async for request in requests:
        yield request
    await context.send_initial_metadata(())
    if context.cancelled():
        raise asyncio.CancelledError


async def _checked_each(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _wellformed(request)


def _wellformed(request: Any) -> Any:
    if isinstance(request, Malformed):
        raise InvalidArgument(
            f"the request is not a message of this method ({request.reason}):"
            " send the message that proto/ragmesh/v1 defines for it"
        )
    return request
