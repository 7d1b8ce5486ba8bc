"""`python -m svc_document api` takes documents in; `python -m svc_document worker` makes them searchable."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ragmesh.inference.embed import TritonEmbedder
from ragmesh.inference.lane import at_ease
from ragmesh.inference.port import Embedder
from ragmesh.rpc import channels as services
from ragmesh.rpc.config import Live
from ragmesh.rpc.pressure import pressure_of
from ragmesh.rpc.server import run, serving
from ragmesh.settings import Settings
from ragmesh.storage.blobs import Blobs, ObjectBlobs
from ragmesh.storage.database import Database, connect, migrate
from ragmesh.storage.events.kafka import Brokers, KafkaConsumer
from ragmesh.storage.events.outbox import OutboxConsumer
from ragmesh.storage.events.port import Consumer
from ragmesh.storage.events.relay import OutboxRelay
from ragmesh.storage.vectors.milvus import MilvusVectors
from ragmesh.storage.vectors.port import ChunkWriter
from svc_document.collections import Shelves
from svc_document.documents import Library
from svc_document.indexing import Indexer
from svc_document.ingest import Ingest
from svc_document.leasing import LeaseKeeper
from svc_document.migrations import MIGRATIONS
from svc_document.parse.pool import ParsePool
from svc_document.ports import Cutter
from svc_document.service import DocumentServicer
from svc_document.stages import RetryPolicy
from svc_document.store.announce import Announcer, announced, silent
from svc_document.store.chores import SqlChores
from svc_document.store.collections import SqlCollections
from svc_document.store.documents import SqlDocuments
from svc_document.store.leases import SqlLeases
from svc_document.sweep import Sweeper
from svc_document.upload import Uploads
from svc_document.watch import Watchtower
from svc_document.wire import TOPICS
from svc_document.worker import Worker

NICENESS = 5  # where they share a machine, those who answer come first
WORKERS = "ragmesh-workers"  # the group that shares the queue


@dataclass(frozen=True, slots=True)
class Parts:
    """What both processes stand on."""

    live: Live
    database: Database
    blobs: Blobs
    embedder: Embedder
    vectors: ChunkWriter

    @property
    def settings(self) -> Settings:
        """As they are now."""
        return self.live.now

    @property
    def announce(self) -> Announcer:
        """Whom changes of documents are told: others, where Kafka carries it to them."""
        return announced if by_kafka(self.settings) else silent


@asynccontextmanager
async def parts(live: Live, pressure: Callable[[], float] = at_ease) -> AsyncIterator[Parts]:
    """Opens the stores, and brings the schema up to date. `pressure`: of those whom embedding lets go first."""
    settings = live.now
    async with (
        connect(settings.database) as database,
        TritonEmbedder(settings.triton_url, pressure=pressure) as embedder,
        MilvusVectors(settings.milvus_uri, settings.milvus_token.get_secret_value(), embedder.info) as vectors,
    ):
        await migrate(database, MIGRATIONS)
        yield Parts(live, database, ObjectBlobs.of(settings), embedder, vectors)


@asynccontextmanager
async def servicer(parts: Parts) -> AsyncIterator[DocumentServicer]:
    """The gRPC side."""
    collections = SqlCollections(parts.database, parts.announce)
    documents = SqlDocuments(parts.database, parts.announce)
    async with Watchtower(documents) as watchtower:
        yield DocumentServicer(
            Uploads(collections, documents, parts.blobs, max_bytes=lambda: parts.settings.upload_max_bytes),
            Library(collections, documents, parts.blobs, parts.vectors),
            Shelves(collections, parts.vectors),
            watchtower,
            SqlChores(parts.database),
        )


@asynccontextmanager
async def worker(parts: Parts, cutter: Cutter) -> AsyncIterator[Worker]:
    """The ingesting side."""
    settings = parts.settings
    leases = SqlLeases(parts.database, lease_s=settings.lease_s, announce=parts.announce)
    policy = RetryPolicy(settings.max_attempts, settings.retry_first_delay_s, settings.retry_max_delay_s)
    async with (
        LeaseKeeper(leases, lease_s=settings.lease_s) as keeper,
        Indexer(parts.embedder, parts.vectors, batch=settings.embed_batch) as indexer,
    ):
        ingest = Ingest(
            leases=leases,
            keeper=keeper,
            blobs=parts.blobs,
            cutter=cutter,
            indexer=indexer,
            vectors=parts.vectors,
            policy=policy,
        )
        yield Worker(consumer(parts), ingest, at_once=settings.ingest_concurrency)


def by_kafka(settings: Settings) -> bool:
    """Whether Kafka carries events. Raises ValueError where neither it nor the outbox does."""
    scheme = settings.events_url.partition(":")[0]
    if scheme not in {"outbox", "kafka"}:
        raise ValueError(f"RAGMESH_EVENTS_URL is {settings.events_url!r}: give outbox: or kafka://HOST:PORT,…")
    return scheme == "kafka"


def consumer(parts: Parts) -> Consumer:
    """How queued documents reach this worker."""
    settings = parts.settings
    if by_kafka(settings):
        return KafkaConsumer(Brokers.of(settings), WORKERS)
    return OutboxConsumer(parts.database, poll_s=settings.poll_s, visibility_s=settings.lease_s)


def relay(parts: Parts) -> OutboxRelay:
    """How events come from the outbox to Kafka."""
    settings = parts.settings
    return OutboxRelay(
        parts.database,
        Brokers.of(settings),
        topics=TOPICS,
        poll_s=settings.poll_s,
        visibility_s=settings.lease_s,
    )


async def serve_api(live: Live) -> None:
    """Takes documents in until the process is asked to end."""
    async with (
        parts(live) as opened,
        servicer(opened) as service,
        serving("document", [service], live) as running,
    ):
        await running.stopped()


async def serve_worker(live: Live) -> None:
    """Makes documents searchable until the process is asked to end, in the background of what is asked."""
    settings = live.now
    os.nice(NICENESS)
    async with (
        services.connect(settings, "query") as queries,
        pressure_of(queries) as pressure,
        parts(live, pressure) as opened,
        ParsePool.of(settings) as pool,
        worker(opened, pool) as working,
    ):
        sweeper = Sweeper(
            SqlChores(opened.database, opened.announce),
            SqlDocuments(opened.database),
            opened.blobs,
            opened.vectors,
            every_s=settings.retry_first_delay_s,
        )
        async with serving("worker", [], live) as running, asyncio.TaskGroup() as tasks:
            running_tasks = [tasks.create_task(working.run()), tasks.create_task(sweeper.run())]
            if by_kafka(settings):
                running_tasks.append(tasks.create_task(relay(opened).run()))
            await running.stopped()
            for task in running_tasks:
                task.cancel()


PROCESSES = {"api": ("document", serve_api), "worker": ("worker", serve_worker)}

if __name__ == "__main__":
    if sys.argv[1:] not in ([name] for name in PROCESSES):
        sys.exit("usage: python -m svc_document api|worker")
    run(*PROCESSES[sys.argv[1]])
