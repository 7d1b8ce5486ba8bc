"""Events through Kafka: `kafka://host:port,host:port`.

A consumer commits an offset once it and all before it are acknowledged, so whatever a dead one had in its hands
comes again. It goes on polling while its events are worked on, however long that takes, and pauses the partitions
of which it holds enough: a slow document costs its consumer no partition, for only who does not poll is taken for
dead.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, TopicAlreadyExistsError, for_code

from ragmesh.errors import Unavailable
from ragmesh.settings import Settings
from ragmesh.storage.events.hand import Hand
from ragmesh.storage.events.port import Event

log = structlog.get_logger()

POLL_MS = 100
PATIENCE_S = 15.0  # with aiokafka, which may wait without end for brokers that come and go
IN_HAND_MAX = 64  # events of a partition, until it is paused
EVENT_ID, TRACEPARENT = "event-id", "traceparent"  # headers
TOO_LATE = (CommitFailedError, IllegalStateError)  # the partition is another consumer's by now


@dataclass(frozen=True, slots=True)
class Brokers:
    """Where Kafka is, and how it is spoken to."""

    addresses: str  # host:port,host:port
    partitions: int = 12  # of topics that are made
    replication: int = 1

    @classmethod
    def of(cls, settings: Settings) -> "Brokers":
        """Those that `events_url` names. Raises ValueError."""
        addresses = settings.events_url.removeprefix("kafka://").rstrip("/")
        if not all(":" in address for address in addresses.split(",")):
            raise ValueError(f"RAGMESH_EVENTS_URL is {settings.events_url!r}: give kafka://HOST:PORT,HOST:PORT")
        return cls(addresses, settings.kafka_partitions, settings.kafka_replication)


async def make_topics(brokers: Brokers, names: Iterable[str]) -> None:
    """Makes the topics that are missing. Any number of processes may do so at once. Raises Unavailable."""
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers.addresses)
    try:
        await admin.start()
        missing = set(names) - set(await admin.list_topics())
        if not missing:
            return
        wanted = [NewTopic(name, brokers.partitions, brokers.replication) for name in sorted(missing)]
        answer: Any = await admin.create_topics(wanted)  # one of many generated responses
        for name, code, *_ in answer.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise Unavailable(f"Kafka does not make the topic {name}: {error.__name__}")
    except KafkaError as error:
        raise _away(error) from error
    finally:
        await admin.close()


@asynccontextmanager
async def producing(brokers: Brokers) -> AsyncIterator[AIOKafkaProducer]:
    """A producer whose events arrive once, in order, on as many replicas as the topic has. Raises Unavailable."""
    producer = AIOKafkaProducer(
        bootstrap_servers=brokers.addresses, enable_idempotence=True, acks="all", linger_ms=5
    )
    try:
        await producer.start()
    except KafkaError as error:
        await producer.stop()
        raise _away(error) from error
    try:
        yield producer
    finally:
        await _stopped(producer)


async def send(producer: AIOKafkaProducer, event: Event) -> "asyncio.Future[Any]":
    """Hands an event to the producer. The future is done once the brokers have it. Raises Unavailable."""
    headers = [(EVENT_ID, event.id.encode()), (TRACEPARENT, event.traceparent.encode())]
    try:
        return await producer.send(event.topic, event.payload, key=event.key.encode(), headers=headers)
    except KafkaError as error:
        raise _away(error) from error


class KafkaConsumer:
    """Consumes topics as a member of a group."""

    def __init__(self, brokers: Brokers, group: str, *, poll_interval_max_s: float = 300.0) -> None:
        """`poll_interval_max_s`: a member that does not poll for so long is taken for dead."""
        self._brokers = brokers
        self._group = group
        self._poll_interval_max_s = poll_interval_max_s

    async def deliveries(self, topic: str) -> "AsyncGenerator[KafkaDelivery]":
        await make_topics(self._brokers, [topic])
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._brokers.addresses,
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_interval_ms=int(self._poll_interval_max_s * 1000),
            session_timeout_ms=10_000,
            heartbeat_interval_ms=1_000,
        )
        holding = _Holding(consumer)
        consumer.subscribe([topic], listener=holding)
        try:
            await consumer.start()
        except KafkaError as error:
            await consumer.stop()
            raise _away(error) from error
        polling = asyncio.create_task(holding.poll())
        try:
            while True:
                delivery = await _next(holding.ready, polling)
                if holding.owns(delivery):
                    yield delivery
        finally:
            polling.cancel()
            await asyncio.wait([polling])
            with suppress(TimeoutError):
                await holding.commit()
            await _stopped(consumer)


@dataclass(frozen=True, slots=True)
class KafkaDelivery:
    """An event in the hands of this consumer, for as long as its partition is."""

    event: Event
    partition: TopicPartition
    offset: int
    hand: "Hand[KafkaDelivery]"
    ready: "asyncio.Queue[KafkaDelivery]"

    async def ack(self) -> None:
        follower = self.hand.settle(self.offset)
        if follower:
            self.ready.put_nowait(follower)

    async def nack(self, delay_s: float) -> None:
        asyncio.get_running_loop().call_later(delay_s, self.ready.put_nowait, self)


class _Holding(ConsumerRebalanceListener):
    """What one consumer holds of each partition that is its own."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self.ready: asyncio.Queue[KafkaDelivery] = asyncio.Queue()
        self._consumer = consumer
        self._hands: dict[TopicPartition, Hand[KafkaDelivery]] = {}
        self._committed: dict[TopicPartition, int] = {}

    def owns(self, delivery: KafkaDelivery) -> bool:
        """Whether it is still this consumer's: another one has it where its partition went away."""
        return self._hands.get(delivery.partition) is delivery.hand

    async def poll(self) -> None:
        """Fetches, pauses and commits, until it is cancelled. Raises TimeoutError where that does not go on."""
        while True:
            async with asyncio.timeout(PATIENCE_S):
                fetched = await self._consumer.getmany(timeout_ms=POLL_MS)
            for partition, records in fetched.items():
                for record in records:
                    self._take(partition, record)
            self._pause_what_is_full()
            await self.commit()
            await asyncio.sleep(0)  # where nothing above had to wait, others must have their turn

    async def commit(self) -> None:
        """Commits what is settled; where that fails, it is delivered once more some day. Raises TimeoutError."""
        news = {
            partition: offset
            for partition, hand in self._hands.items()
            if (offset := hand.committable) is not None and offset != self._committed.get(partition)
        }
        if not news:
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._consumer.commit(news)
        except TOO_LATE:
            return
        except KafkaError as error:
            log.warning("kafka.not_committed", error=repr(error))
            return
        self._committed.update(news)

    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride] aiokafka awaits it
        self, revoked: Iterable[TopicPartition]
    ) -> None:
        """Others go on from here. What is still being worked on will find that its document is taken."""
        with suppress(TimeoutError):
            await self.commit()
        for partition in revoked:
            self._hands.pop(partition, None)
            self._committed.pop(partition, None)

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride] aiokafka awaits it
        self, assigned: Iterable[TopicPartition]
    ) -> None:
        for partition in assigned:
            self._hands[partition] = Hand()

    def _take(self, partition: TopicPartition, record: Any) -> None:
        hand = self._hands[partition]
        headers = {name: value.decode(errors="replace") for name, value in record.headers if value}
        event = Event(
            headers.get(EVENT_ID, f"{partition.topic}/{partition.partition}/{record.offset}"),
            record.topic,
            record.key.decode(errors="replace") if record.key else "",
            record.value or b"",
            headers.get(TRACEPARENT, ""),
        )
        delivery = KafkaDelivery(event, partition, record.offset, hand, self.ready)
        if hand.take(record.offset, event.key, delivery):
            self.ready.put_nowait(delivery)

    def _pause_what_is_full(self) -> None:
        full = {partition for partition, hand in self._hands.items() if len(hand) >= IN_HAND_MAX}
        paused = self._consumer.paused()
        self._consumer.pause(*(full - paused))
        self._consumer.resume(*(paused - full))


async def _next(ready: "asyncio.Queue[KafkaDelivery]", polling: "asyncio.Task[None]") -> KafkaDelivery:
    """The next delivery. Raises Unavailable where polling has come to an end."""
    taking = asyncio.create_task(ready.get())
    try:
        await asyncio.wait([taking, polling], return_when=asyncio.FIRST_COMPLETED)
        if taking.done():
            return taking.result()
        error = polling.exception()
        raise _away(error) from error
    finally:
        taking.cancel()


async def _stopped(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    """Stops a client, which waits for what is under way; but not for brokers that do not come back."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            await client.stop()
    except (KafkaError, TimeoutError) as error:
        log.warning("kafka.not_stopped", error=repr(error))


def _away(error: BaseException | None) -> Unavailable:
    return Unavailable(f"Kafka can't be used at present: {error!r}", retry_after_s=1.0)
