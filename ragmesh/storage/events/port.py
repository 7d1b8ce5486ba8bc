"""What services ask of the event log.

    async with database.write() as connection:          # a change and its event: both or neither
        await connection.execute(...)
        await publish(connection, Event.of("ragmesh.documents", key=document_id, payload=payload))

    async with aclosing(consumer.deliveries("ragmesh.documents")) as deliveries:
        async for delivery in deliveries:
            handle(delivery.event)
            await delivery.ack()

The promise of every adapter:

- An event whose transaction was committed is delivered at least once; one whose transaction was undone, never.
- Events with the same topic and key are delivered in the order of their publication: the next one comes only
  after the one before was acknowledged.
- A delivery goes to one consumer at a time. One that is neither acknowledged nor refused within the adapter's
  visibility time, for its consumer died, is delivered again.
- Handlers are idempotent: "at least once" means twice, some day.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol, Self

import uuid_utils


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened."""

    id: str  # unique; equal for each delivery of the same event
    topic: str
    key: str  # what order is kept by
    payload: bytes
    traceparent: str = ""  # W3C trace context of what made it happen

    @classmethod
    def of(cls, topic: str, *, key: str, payload: bytes, traceparent: str = "") -> Self:
        """A new event."""
        return cls(str(uuid_utils.uuid7()), topic, key, payload, traceparent)


class Delivery(Protocol):
    """An event in the hands of a consumer."""

    @property
    def event(self) -> Event: ...

    async def ack(self) -> None:
        """It is dealt with: never deliver it again."""
        ...

    async def nack(self, delay_s: float) -> None:
        """Deliver it again, after a while. Later events of its key wait for it."""
        ...


class Consumer(Protocol):
    """Takes events out."""

    def deliveries(self, topic: str) -> AsyncGenerator[Delivery]:
        """Events as they come, without end. Closing it, as its user must, hands back what was not yielded yet.

        Raises Unavailable where the log can't be reached.
        """
        ...
