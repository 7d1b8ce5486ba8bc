"""A channel that spreads its calls over a pool, and makes an idempotent call once more on another instance.

It stands where a `grpc.aio.Channel` is wanted, so that generated stubs work with it unchanged. A call is retried
only if the connection to its instance failed (what the server itself refused is an answer), within a budget, and
never once the first message of its answer has come.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self

import grpc
from prometheus_client import Counter

from ragmesh.rpc.discovery import Discovery
from ragmesh.rpc.pool import Instance, Pool, is_broken

RETRIES = Counter("ragmesh_rpc_retries_total", "Calls made once more on another instance", ["service", "outcome"])

SAME_INSTANCE_PAUSE_S = 0.1  # before a retry where there is no other instance

Call = Any  # of grpc.aio: generic in request and response, which a channel does not know
Arguments = dict[str, Any]


@dataclass(slots=True)
class RetryBudget:
    """A token bucket: each call pays a tenth of a token in, each retry takes one out (after Finagle's RetryBudget).

    So retries add at most a tenth to a steady load, and a burst is met from what has been saved.
    """

    share: float = 0.1
    capacity: float = 100.0
    tokens: float = 100.0

    def deposit(self) -> None:
        """A first try was made."""
        self.tokens = min(self.capacity, self.tokens + self.share)

    def withdraw(self) -> bool:
        """Whether a retry may be made; it is paid then."""
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class BalancedChannel(grpc.aio.Channel):
    """Calls to one service. Use it with `async with`."""

    def __init__(self, pool: Pool, discovery: Discovery, idempotent: frozenset[str]) -> None:
        """`idempotent` has the methods, as `/package.Service/Method`, that may be called twice."""
        self.pool = pool
        self._discovery = discovery
        self._idempotent = idempotent
        self._budget = RetryBudget()
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._open.enter_async_context(self.pool.following(self._discovery))
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        await self._open.aclose()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002 grpc's
        usable = any(not instance.ejected for instance in self.pool.instances)
        return grpc.ChannelConnectivity.READY if usable else grpc.ChannelConnectivity.TRANSIENT_FAILURE

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        while self.get_state() == last_observed_state:  # noqa: ASYNC110 many events of many channels
            await asyncio.sleep(SAME_INSTANCE_PAUSE_S)

    async def channel_ready(self) -> None:
        await self.wait_for_state_change(grpc.ChannelConnectivity.TRANSIENT_FAILURE)

    def unary_unary(self, method: str, *codec: Any, **codecs: Any) -> Any:
        return self._retried(_answered_once, "unary_unary", method, codec, codecs)

    def unary_stream(self, method: str, *codec: Any, **codecs: Any) -> Any:
        return self._retried(RetriedStream, "unary_stream", method, codec, codecs)

    def stream_unary(self, method: str, *codec: Any, **codecs: Any) -> Any:
        return self._direct("stream_unary", method, codec, codecs)

    def stream_stream(self, method: str, *codec: Any, **codecs: Any) -> Any:
        return self._direct("stream_stream", method, codec, codecs)

    def _retried(
        self,
        kind: "Callable[[Attempts], Any]",
        arity: str,
        method: str,
        codec: Iterable[Any],
        codecs: Arguments,
    ) -> Callable[..., Any]:
        idempotent = method in self._idempotent

        def call(request: Any, *, timeout: float | None = None, **options: Any) -> Any:
            def begin(instance: Instance, timeout_s: float | None) -> Call:
                made = getattr(instance.channel, arity)(method, *codec, **codecs)
                return made(request, timeout=timeout_s, **options)

            return kind(Attempts(self.pool, self._budget if idempotent else None, begin, timeout))

        return call

    def _direct(self, arity: str, method: str, codec: Iterable[Any], codecs: Arguments) -> Callable[..., Call]:
        """A call whose requests are a stream: they can't be sent again."""

        def call(*args: Any, **options: Any) -> Call:
            instance = self.pool.pick()
            made = getattr(instance.channel, arity)(method, *codec, **codecs)(*args, **options)
            _count_in_flight(instance, made)
            self.pool.follow(instance, made)
            return made

        return call


class Attempts:
    """The first try of a call and its one retry."""

    def __init__(
        self,
        pool: Pool,
        budget: RetryBudget | None,
        begin: Callable[[Instance, float | None], Call],
        timeout_s: float | None,
    ) -> None:
        """Without a budget there is no retry."""
        self._pool = pool
        self._budget = budget
        self._begin = begin
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s
        if budget:
            budget.deposit()
        self._make(pool.pick())

    @property
    def call(self) -> Call:
        """The call of the latest try."""
        return self._call

    def succeeded(self) -> None:
        """It brought an answer."""
        self._pool.succeeded(self._instance)

    async def again(self, error: grpc.aio.AioRpcError) -> None:
        """Makes the retry, if `error` allows for one. Raises the error if not."""
        self._pool.failed(self._instance, error)
        if self._budget is None or not is_broken(error):
            raise error
        budget, self._budget = self._budget, None
        if not budget.withdraw():
            RETRIES.labels(self._pool.service, "over_budget").inc()
            raise error
        RETRIES.labels(self._pool.service, "made").inc()
        failed, other = self._instance, self._pool.pick(avoid=self._instance)
        if other is failed:
            await asyncio.sleep(SAME_INSTANCE_PAUSE_S)
            other = self._pool.pick()
        self._make(other)

    def failed(self, error: grpc.aio.AioRpcError) -> None:
        """It ended in an error when there was nothing to retry any more."""
        self._pool.failed(self._instance, error)

    def _make(self, instance: Instance) -> None:
        left_s = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        self._instance, self._call = instance, self._begin(instance, left_s)
        _count_in_flight(instance, self._call)


async def _answered_once(attempts: Attempts) -> Any:
    """The answer of a call with one request and one answer."""
    while True:
        try:
            answer = await attempts.call
        except grpc.aio.AioRpcError as error:
            await attempts.again(error)
        else:
            attempts.succeeded()
            return answer


class RetriedStream:
    """A call that answers with a stream: iterate over it, or cancel it."""

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts
        self._messages = aiter(attempts.call)
        self._begun = False

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        while True:
            try:
                message = await anext(self._messages)
            except grpc.aio.AioRpcError as error:
                if self._begun:
                    self._attempts.failed(error)
                    raise
                await self._attempts.again(error)
                self._messages = aiter(self._attempts.call)
            except StopAsyncIteration:
                self._attempts.succeeded()
                raise
            else:
                self._begun = True
                return message

    def cancel(self) -> bool:
        """Ends the call, here and at the server."""
        return self._attempts.call.cancel()


def _count_in_flight(instance: Instance, call: Call) -> None:
    def end(_: Call) -> None:
        instance.in_flight -= 1

    instance.in_flight += 1
    call.add_done_callback(end)
