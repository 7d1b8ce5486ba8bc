"""The worker: takes what is queued, several documents at once, and lets none of them harm another."""

import asyncio
from contextlib import aclosing

import structlog

from ragmesh.errors import MeshError
from ragmesh.rpc.context import bound
from ragmesh.storage.events.port import Consumer, Delivery
from ragmesh.telemetry import traces
from svc_document.ingest import Ingest
from svc_document.wire import QUEUED_TOPIC, from_event

log = structlog.get_logger()

PAUSE_S = 1.0  # where the database is away


class Worker:
    """Feeds events to ingestion."""

    def __init__(self, consumer: Consumer, ingest: Ingest, *, at_once: int) -> None:
        self._consumer = consumer
        self._ingest = ingest
        self._free = asyncio.Semaphore(at_once)

    async def run(self) -> None:
        """Works until it is cancelled; then documents in the making are given back."""
        async with asyncio.TaskGroup() as handling:
            while True:
                try:
                    await self._consume(handling)
                except MeshError as error:
                    log.warning("worker.events_unavailable", error=error.message)
                    await asyncio.sleep(PAUSE_S)

    async def _consume(self, handling: asyncio.TaskGroup) -> None:
        async with aclosing(self._consumer.deliveries(QUEUED_TOPIC)) as deliveries:
            async for delivery in deliveries:
                await self._free.acquire()
                handling.create_task(self._handle(delivery)).add_done_callback(lambda _: self._free.release())

    async def _handle(self, delivery: Delivery) -> None:
        try:
            await self._process(delivery)
        except Exception:
            log.exception("worker.event_failed", key=delivery.event.key)
            await self._refuse(delivery)

    async def _process(self, delivery: Delivery) -> None:
        try:
            queued = from_event(delivery.event)
        except Exception:
            log.exception("worker.event_unreadable", key=delivery.event.key)
            await delivery.ack()  # it will not become readable; the sweep queues what the database knows of
            return
        span = traces.begin_server_span("ingest", {"traceparent": queued.traceparent})
        try:
            with bound(tenant=queued.tenant):
                await self._ingest.process(queued)
        finally:
            span.end()
        await delivery.ack()

    async def _refuse(self, delivery: Delivery) -> None:
        try:
            await delivery.nack(PAUSE_S)
        except MeshError as error:
            log.warning("worker.event_not_returned", error=error.message)  # it comes again by itself
