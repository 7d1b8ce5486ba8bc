"""From the outbox to Kafka. A row is deleted once the brokers have its event: none is lost, and one may come twice.

Any number of relays may run at once: each claims rows of its own, and of each key only the oldest, which keeps the
order of a key.
"""

import asyncio
from collections.abc import Sequence

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import Counter

from ragmesh.errors import MeshError, Unavailable
from ragmesh.storage.database import Database
from ragmesh.storage.events.kafka import Brokers, make_topics, producing, send
from ragmesh.storage.events.outbox import OutboxDelivery, claim, forget

log = structlog.get_logger()

RELAYED = Counter("ragmesh_events_relayed_total", "Events moved from the outbox to Kafka", ["topic"])

BATCH = 256  # rows in one transaction
PAUSE_S = 1.0  # where Kafka or the database is away


class OutboxRelay:
    """Moves every event on."""

    def __init__(
        self,
        database: Database,
        brokers: Brokers,
        *,
        topics: Sequence[str],
        poll_s: float,
        visibility_s: float,
    ) -> None:
        """`visibility_s`: when another relay takes over the rows of one that died."""
        self._database = database
        self._brokers = brokers
        self._topics = topics
        self._poll_s = poll_s
        self._visibility_s = visibility_s

    async def run(self) -> None:
        """Relays until it is cancelled. While Kafka is away events wait in the outbox."""
        away = False
        while True:
            try:
                await make_topics(self._brokers, self._topics)
                async with producing(self._brokers) as producer:
                    log.info("relay.started")
                    away = False
                    await self._relay(producer)
            except (MeshError, KafkaError) as error:
                if not away:
                    log.warning("relay.waiting", error=repr(error))
                away = True
            await asyncio.sleep(PAUSE_S)

    async def _relay(self, producer: AIOKafkaProducer) -> None:
        while True:
            claimed = await claim(self._database, topic=None, limit=BATCH, visibility_s=self._visibility_s)
            if claimed:
                await self._move(producer, claimed)
            else:
                await asyncio.sleep(self._poll_s)

    async def _move(self, producer: AIOKafkaProducer, claimed: Sequence[OutboxDelivery]) -> None:
        sent = [await send(producer, delivery.event) for delivery in claimed]
        try:
            async with asyncio.timeout(self._visibility_s):
                await asyncio.gather(*sent)
        except (KafkaError, TimeoutError) as error:
            raise Unavailable(f"Kafka does not take events at present: {error!r}") from error
        await forget(self._database, claimed)
        for delivery in claimed:
            RELAYED.labels(delivery.event.topic).inc()
