"""The promise of `ragmesh.storage.events.port`, kept by every adapter."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

from ragmesh.storage.database import Database, connect, migrate
from ragmesh.storage.events.outbox import OutboxConsumer, publish
from ragmesh.storage.events.port import Consumer, Delivery, Event
from svc_document.migrations import MIGRATIONS

VISIBILITY_S = 0.3
TOPIC = "numbers"


class OutboxLog:
    """The outbox adapter: every consumer is as another process would have it."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def consumer(self) -> Consumer:
        return OutboxConsumer(self.database, poll_s=0.01, visibility_s=VISIBILITY_S)

    async def publish(self, *entries: tuple[str, str], topic: str = TOPIC) -> None:
        async with self.database.write() as connection:
            await publish(connection, *(Event.of(topic, key=key, payload=text.encode()) for key, text in entries))


@pytest.fixture(params=[OutboxLog])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OutboxLog]:
    async with connect(f"sqlite+aiosqlite:///{tmp_path}/events.db") as database:
        await migrate(database, MIGRATIONS)
        yield request.param(database)


async def take(consumer: Consumer, count: int, *, ack: bool = True, topic: str = TOPIC) -> list[Delivery]:
    taken: list[Delivery] = []
    async with asyncio.timeout(5), aclosing(consumer.deliveries(topic)) as deliveries:
        async for delivery in deliveries:
            taken.append(delivery)
            if ack:
                await delivery.ack()
            if len(taken) == count:
                break
    return taken


def texts(deliveries: list[Delivery]) -> list[str]:
    return [delivery.event.payload.decode() for delivery in deliveries]


async def nothing_comes(consumer: Consumer, within_s: float, topic: str = TOPIC) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await take(consumer, 1, topic=topic)
    except TimeoutError:
        return True
    return False


async def test_what_was_published_is_delivered_once_where_it_is_acknowledged(log: OutboxLog):
    await log.publish(*((f"key{i}", str(i)) for i in range(20)))

    delivered = await take(log.consumer(), 20)

    assert sorted(texts(delivered), key=int) == [str(i) for i in range(20)]
    assert await nothing_comes(log.consumer(), VISIBILITY_S * 1.5)


async def test_an_event_of_an_undone_transaction_is_never_delivered(log: OutboxLog):
    with suppress(RuntimeError):
        async with log.database.write() as connection:
            await publish(connection, Event.of(TOPIC, key="a", payload=b"1"))
            raise RuntimeError

    assert await nothing_comes(log.consumer(), 0.1)


async def test_events_of_a_key_come_in_order_one_after_the_other(log: OutboxLog):
    await log.publish(("a", "1"), ("a", "2"), ("b", "3"))
    consumer = log.consumer()

    first = await take(consumer, 2, ack=False)
    assert texts(first) == ["1", "3"]
    for delivery in first:
        await delivery.ack()

    assert texts(await take(consumer, 1)) == ["2"]


async def test_an_event_whose_consumer_died_is_delivered_again(log: OutboxLog):
    await log.publish(("a", "1"))
    (lost,) = await take(log.consumer(), 1, ack=False)

    assert await nothing_comes(log.consumer(), VISIBILITY_S / 3)
    (again,) = await take(log.consumer(), 1)

    assert again.event == lost.event


async def test_a_refused_event_comes_again_after_its_delay(log: OutboxLog):
    await log.publish(("a", "1"))
    (refused,) = await take(log.consumer(), 1, ack=False)

    await refused.nack(0.2)

    assert await nothing_comes(log.consumer(), 0.1)
    assert texts(await take(log.consumer(), 1)) == ["1"]


async def test_closing_hands_back_what_was_not_yielded(log: OutboxLog):
    await log.publish(("a", "1"), ("b", "2"))
    await take(log.consumer(), 1)

    async with asyncio.timeout(VISIBILITY_S / 2):
        assert texts(await take(log.consumer(), 1)) == ["2"]


async def test_consumers_share_the_events(log: OutboxLog):
    await log.publish(*((f"key{i}", str(i)) for i in range(40)))

    shares = await asyncio.gather(*(take(log.consumer(), 10) for _ in range(4)))

    assert sorted((text for share in shares for text in texts(share)), key=int) == [str(i) for i in range(40)]


async def test_topics_are_apart(log: OutboxLog):
    await log.publish(("a", "1"), topic="other")

    assert await nothing_comes(log.consumer(), 0.1)
    assert texts(await take(log.consumer(), 1, topic="other")) == ["1"]
