"""Equal work in flight is done once: the first caller starts it, later ones hear all of it from the start.

    flights = Flights[AnswerEvent](admit)
    async with aclosing(flights.join(key, start)) as events:
        async for event in events: ...

A flight's task ends with its last listener at the latest: when that one leaves, the work is cancelled and awaited.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Generic, TypeVar

from ragmesh.errors import Unavailable

Event = TypeVar("Event")


class Flights(Generic[Event]):
    """Streams in flight, by key."""

    def __init__(self, admit: Callable[[int], None]) -> None:
        """`admit` is asked before each new flight, with the number of those there are; it raises to refuse."""
        self._admit = admit
        self._flights: dict[str, _Flight[Event]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def join(self, key: str, start: Callable[[], AsyncGenerator[Event, None]]) -> AsyncGenerator[Event, None]:
        """All events of the flight with this key, which `start` begins if there is none.

        Raises what the work raises, and what `admit` does.
        """
        flight = self._flights.get(key) or self._launch(key, start)
        flight.listeners += 1
        try:
            async with aclosing(flight.listen()) as events:
                async for event in events:
                    yield event
        finally:
            flight.listeners -= 1
            if not flight.listeners:
                self._forget(key, flight)
                await flight.stop()

    def _launch(self, key: str, start: Callable[[], AsyncGenerator[Event, None]]) -> "_Flight[Event]":
        self._admit(len(self._flights))
        flight = _Flight(start)
        self._flights[key] = flight
        flight.task.add_done_callback(lambda _: self._forget(key, flight))
        return flight

    def _forget(self, key: str, flight: "_Flight[Event]") -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


class Unshared(Generic[Event]):
    """Implements SharedFlights where no other instance can be asked."""

    def join(self, key: str, start: Callable[[], AsyncGenerator[Event, None]]) -> AsyncGenerator[Event, None]:
        """The work itself."""
        return start()


class _Flight(Generic[Event]):
    """One computation, with everything that it said so far."""

    def __init__(self, start: Callable[[], AsyncGenerator[Event, None]]) -> None:
        self.listeners = 0
        self._events: list[Event] = []
        self._over = False
        self._news = asyncio.Condition()
        self.task = asyncio.create_task(self._run(start))

    async def listen(self) -> AsyncGenerator[Event, None]:
        """Its events from the first, and at the end the error that it met."""
        heard = 0
        while await self._goes_on_after(heard):
            yield self._events[heard]
            heard += 1
        await asyncio.wait([self.task])
        if self.task.cancelled():
            raise Unavailable("the answer was broken off; try again")
        self.task.result()

    async def stop(self) -> None:
        """Cancels what still runs, and waits until it has ended."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)  # who still listened has had the error

    async def _run(self, start: Callable[[], AsyncGenerator[Event, None]]) -> None:
        try:
            async with aclosing(start()) as events:
                async for event in events:
                    self._events.append(event)
                    await self._announce()
        finally:
            self._over = True
            await self._announce()

    async def _goes_on_after(self, heard: int) -> bool:
        async with self._news:
            await self._news.wait_for(lambda: len(self._events) > heard or self._over)
        return len(self._events) > heard

    async def _announce(self) -> None:
        async with self._news:
            self._news.notify_all()
