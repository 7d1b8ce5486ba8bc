"""The promise of `ragmesh.storage.events.port`, kept by every adapter."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest

from ragmesh.errors import Unavailable
from ragmesh.storage.database import Database, connect, migrate
from ragmesh.storage.events.kafka import Brokers, KafkaConsumer
from ragmesh.storage.events.outbox import OutboxConsumer, publish
from ragmesh.storage.events.port import Consumer, Delivery, Event
from ragmesh.storage.events.relay import OutboxRelay
from svc_document.migrations import MIGRATIONS
from tests.servers import Server, running

VISIBILITY_S = 0.3
QUIET_S = 1.5  # long enough for what should not come to come


class Log:
    """An event log: every consumer is as another process would have it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.topic = f"numbers-{uuid4().hex[:8]}"

    def consumer(self) -> Consumer:
        return OutboxConsumer(self.database, poll_s=0.01, visibility_s=VISIBILITY_S)

    async def publish(self, *entries: tuple[str, str], topic: str = "") -> None:
        async with self.database.write() as connection:
            await publish(
                connection,
                *(Event.of(topic or self.topic, key=key, payload=text.encode()) for key, text in entries),
            )


class KafkaLog(Log):
    """The outbox, relayed to Kafka."""

    def __init__(self, database: Database, kafka: Server) -> None:
        super().__init__(database)
        self.brokers = Brokers(kafka.address, partitions=4)
        self.other = f"{self.topic}-other"

    def consumer(self) -> Consumer:
        return KafkaConsumer(self.brokers, group=self.topic)

    @asynccontextmanager
    async def relayed(self) -> AsyncIterator[None]:
        relay = OutboxRelay(
            self.database, self.brokers, topics=[self.topic, self.other], poll_s=0.01, visibility_s=5
        )
        relaying = asyncio.create_task(relay.run())
        try:
            yield
        finally:
            relaying.cancel()
            await asyncio.wait([relaying])


@pytest.fixture(params=["outbox", "kafka"])
def kafka_if_used(request: pytest.FixtureRequest) -> Server | None:
    return request.getfixturevalue("kafka") if request.param == "kafka" else None


@pytest.fixture
async def log(kafka_if_used: Server | None, tmp_path: Path) -> AsyncIterator[Log]:
    async with connect(f"sqlite+aiosqlite:///{tmp_path}/events.db") as database:
        await migrate(database, MIGRATIONS)
        if kafka_if_used is None:
            yield Log(database)
            return
        over_kafka = KafkaLog(database, kafka_if_used)
        async with over_kafka.relayed():
            yield over_kafka


async def take(log: Log, count: int, *, ack: bool = True, topic: str = "") -> list[Delivery]:
    taken: list[Delivery] = []
    async with asyncio.timeout(20), aclosing(log.consumer().deliveries(topic or log.topic)) as deliveries:
        async for delivery in deliveries:
            taken.append(delivery)
            if ack:
                await delivery.ack()
            if len(taken) == count:
                break
    return taken


def texts(deliveries: list[Delivery]) -> list[str]:
    return [delivery.event.payload.decode() for delivery in deliveries]


async def nothing_comes(log: Log, within_s: float = QUIET_S, topic: str = "") -> bool:
    try:
        async with asyncio.timeout(within_s):
            await take(log, 1, topic=topic)
    except TimeoutError:
        return True
    return False


async def test_what_was_published_is_delivered_once_where_it_is_acknowledged(log: Log):
    await log.publish(*((f"key{i}", str(i)) for i in range(20)))

    delivered = await take(log, 20)

    assert sorted(texts(delivered), key=int) == [str(i) for i in range(20)]
    assert await nothing_comes(log)


async def test_an_event_arrives_as_it_was_published(log: Log):
    event = Event.of(log.topic, key="a", payload=b"\x00\xff", traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    async with log.database.write() as connection:
        await publish(connection, event)

    (delivered,) = await take(log, 1)

    assert delivered.event == event


async def test_an_event_of_an_undone_transaction_is_never_delivered(log: Log):
    with suppress(RuntimeError):
        async with log.database.write() as connection:
            await publish(connection, Event.of(log.topic, key="a", payload=b"1"))
            raise RuntimeError

    assert await nothing_comes(log)


async def test_events_of_a_key_come_in_order_one_after_the_other(log: Log):
    await log.publish(("a", "1"), ("a", "2"), ("b", "3"))

    async with asyncio.timeout(20), aclosing(log.consumer().deliveries(log.topic)) as deliveries:
        first = [await anext(deliveries), await anext(deliveries)]
        assert set(texts(first)) == {"1", "3"}
        for delivery in first:
            await delivery.ack()

        assert texts([await anext(deliveries)]) == ["2"]


async def test_an_event_whose_consumer_died_is_delivered_again(log: Log):
    await log.publish(("a", "1"))
    (lost,) = await take(log, 1, ack=False)

    (again,) = await take(log, 1)

    assert again.event == lost.event


async def test_a_refused_event_comes_again_after_its_delay_and_later_ones_of_its_key_wait(log: Log):
    await log.publish(("a", "1"), ("a", "2"))

    async with asyncio.timeout(20), aclosing(log.consumer().deliveries(log.topic)) as deliveries:
        refused = await anext(deliveries)
        began = asyncio.get_running_loop().time()
        await refused.nack(0.2)
        again = await anext(deliveries)

    assert again.event == refused.event
    assert asyncio.get_running_loop().time() - began >= 0.198  # uvloop tells milliseconds


async def test_closing_hands_back_what_was_not_yielded(log: Log):
    await log.publish(("a", "1"), ("b", "2"))
    (first,) = await take(log, 1)

    (second,) = await take(log, 1)

    assert {*texts([first, second])} == {"1", "2"}


async def test_consumers_share_the_events_and_none_is_missed(log: Log):
    await log.publish(*((f"key{i}", str(i)) for i in range(40)))
    seen: list[str] = []
    complete = asyncio.Event()

    async def consume() -> None:
        async with aclosing(log.consumer().deliveries(log.topic)) as deliveries:
            async for delivery in deliveries:
                seen.append(delivery.event.payload.decode())
                await delivery.ack()
                if len(set(seen)) == 40:
                    complete.set()

    consumers = [asyncio.create_task(consume()) for _ in range(3)]
    async with asyncio.timeout(30):
        await complete.wait()
    for consumer in consumers:
        consumer.cancel()
    await asyncio.gather(*consumers, return_exceptions=True)

    assert set(seen) == {str(i) for i in range(40)}


async def test_topics_are_apart(log: Log):
    await log.publish(("a", "1"), topic=f"{log.topic}-other")

    assert await nothing_comes(log)
    assert texts(await take(log, 1, topic=f"{log.topic}-other")) == ["1"]


async def drain(deliveries: AsyncGenerator[Delivery]) -> None:
    async for delivery in deliveries:
        await delivery.ack()


async def test_a_relay_and_a_consumer_end_in_time_though_kafka_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr("ragmesh.storage.events.kafka.PATIENCE_S", 1.0)
    async with (
        running("kafka", tmp_path / "kafka") as kafka,
        connect(f"sqlite+aiosqlite:///{tmp_path}/events.db") as database,
    ):
        await migrate(database, MIGRATIONS)
        log = KafkaLog(database, kafka)
        async with asyncio.timeout(60), AsyncExitStack() as stack:
            await stack.enter_async_context(log.relayed())
            deliveries = await stack.enter_async_context(aclosing(log.consumer().deliveries(log.topic)))
            await log.publish(("a", "1"))
            await (await anext(deliveries)).ack()

            kafka.pause()
            await log.publish(*((f"key{i}", str(i)) for i in range(50)))
            with pytest.raises(Unavailable):
                await drain(deliveries)
        kafka.resume()

        async with log.relayed():
            seen: set[str] = set()
            async with asyncio.timeout(30), aclosing(log.consumer().deliveries(log.topic)) as deliveries:
                async for delivery in deliveries:
                    seen.add(delivery.event.payload.decode())
                    await delivery.ack()
                    if seen >= {str(i) for i in range(2, 50)}:
                        break


async def test_a_document_that_takes_longer_than_a_member_may_be_silent_costs_it_no_partition(kafka, tmp_path):
    async with connect(f"sqlite+aiosqlite:///{tmp_path}/events.db") as database:
        await migrate(database, MIGRATIONS)
        log = KafkaLog(database, kafka)
        await log.publish(("slow", "1"), ("slow", "2"), ("other", "3"))
        consumer = KafkaConsumer(log.brokers, group=log.topic, poll_interval_max_s=1.0)
        async with log.relayed(), asyncio.timeout(40), aclosing(consumer.deliveries(log.topic)) as deliveries:
            first = [await anext(deliveries), await anext(deliveries)]

            await asyncio.sleep(5)  # the work on them: five times what a silent member is given

            for delivery in first:
                await delivery.ack()
            assert texts([await anext(deliveries)]) == ["2"]  # still its partition, and nothing came twice
