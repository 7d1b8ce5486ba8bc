"""Callers that ask for the same kind of thing at the same time share a call.

    async with Coalescer("embed", embed_many) as embed:
        vector = await embed(Role.QUERY, "what is asked")

An idle lane calls at once. What arrives while a call is under way goes together with the next one: batches grow
with the load, and nobody waits for company. No caller joins a call that began before it came, so an answer is never
older than its question.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, Self, TypeVar

from prometheus_client import Histogram

from ragmesh.errors import InvalidArgument, Unavailable

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")
Outcome = TypeVar("Outcome")

BATCH_SIZES = Histogram(
    "ragmesh_coalesced_callers",
    "callers that shared a call",
    ["call"],
    buckets=(1, 2, 4, 8, 16, 32, 64),
)


@dataclass(frozen=True, slots=True)
class Served(Generic[Result]):
    """An answer, and how long its caller waited for the call to begin."""

    answer: Result
    waited_s: float


@dataclass(slots=True, eq=False)
class _Caller(Generic[Item, Result]):
    item: Item
    answer: asyncio.Future[Result]
    came: float = field(default_factory=time.perf_counter)
    waited_s: float = 0.0


@dataclass(slots=True, eq=False)
class _Lane(Generic[Item, Result]):
    """The callers of one key."""

    waiting: deque[_Caller[Item, Result]] = field(default_factory=deque)
    served: list[_Caller[Item, Result]] = field(default_factory=list)
    call: asyncio.Task[Sequence[Result]] | None = None

    def board(self, most: int) -> list[_Caller[Item, Result]]:
        """The callers that go next; those who left while they waited are forgotten."""
        self.served = []
        while self.waiting and len(self.served) < most:
            caller = self.waiting.popleft()
            if not caller.answer.done():
                caller.waited_s = time.perf_counter() - caller.came
                self.served.append(caller)
        return self.served

    def forsake(self) -> None:
        """Cancels the call if nobody is left to hear its answer."""
        if self.call and all(caller.answer.done() for caller in self.served):
            self.call.cancel()


class Coalescer(Generic[Key, Item, Result]):
    """`call(key, items)` answers many items of one key at once, in their order."""

    def __init__(
        self,
        name: str,
        call: Callable[[Key, Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        batch_max: int = 64,
    ) -> None:
        self._call = call
        self._batch_max = batch_max
        self._batch_sizes = BATCH_SIZES.labels(name)
        self._lanes: dict[Key, _Lane[Item, Result]] = {}
        self._tasks: set[asyncio.Task[object]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __call__(self, key: Key, item: Item) -> Result:
        """The answer to one item. A caller's cancellation, and an item that is refused, are its own affair."""
        return (await self.timed(key, item)).answer

    async def timed(self, key: Key, item: Item) -> Served[Result]:
        """Likewise, with the time that was waited for it."""
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane()
            self._spawn(self._serve(key, lane))
        caller = _Caller(item, answer)
        lane.waiting.append(caller)
        try:
            return Served(await answer, caller.waited_s)
        finally:
            answer.cancel()
            lane.forsake()

    async def _serve(self, key: Key, lane: _Lane[Item, Result]) -> None:
        """Calls as long as somebody waits."""
        try:
            while callers := lane.board(self._batch_max):
                self._batch_sizes.observe(len(callers))
                await self._answer(key, lane, callers)
        finally:
            del self._lanes[key]
            for caller in (*lane.served, *lane.waiting):
                _fail(caller, Unavailable("the service is stopping"))

    async def _answer(self, key: Key, lane: _Lane[Item, Result], callers: Sequence[_Caller[Item, Result]]) -> None:
        call = lane.call = self._spawn(self._call_for(key, callers))
        await asyncio.wait((call,))
        error = _ended_by(call)
        if error is None:
            for caller, result in zip(callers, call.result(), strict=True):
                if not caller.answer.done():
                    caller.answer.set_result(result)
        elif len(callers) > 1 and isinstance(error, InvalidArgument):
            for caller in callers:  # one item was refused: the others shall not suffer for it
                await self._answer(key, lane, (caller,))
        else:
            for caller in callers:
                _fail(caller, error)

    async def _call_for(self, key: Key, callers: Sequence[_Caller[Item, Result]]) -> Sequence[Result]:
        return await self._call(key, [caller.item for caller in callers])

    def _spawn(self, work: Coroutine[None, None, Outcome]) -> asyncio.Task[Outcome]:
        """A task with a context of its own: no single caller's deadline or tenant rules a shared call."""
        task = asyncio.create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _ended_by(call: asyncio.Task[Outcome]) -> BaseException | None:
    if call.cancelled():
        return Unavailable("the call was broken off; try again")
    return call.exception()


def _fail(caller: _Caller[Item, Result], error: BaseException) -> None:
    if not caller.answer.done():
        caller.answer.set_exception(error)
