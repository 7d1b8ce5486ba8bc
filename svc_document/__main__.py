"""`python -m svc_document api` takes documents in; `python -m svc_document worker` makes them searchable."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ragmesh.inference.roles import embedding_models
from ragmesh.rpc import channels as services
from ragmesh.rpc.config import Live, open_config
from ragmesh.rpc.config.switch import Switch
from ragmesh.rpc.pressure import pressure_of
from ragmesh.rpc.server import run, serving
from ragmesh.settings import Settings
from ragmesh.storage.blobs import Blobs, ObjectBlobs
from ragmesh.storage.database import Database, connect, migrate
from ragmesh.storage.events.kafka import Brokers, KafkaConsumer
from ragmesh.storage.events.outbox import OutboxConsumer
from ragmesh.storage.events.port import Consumer
from ragmesh.storage.events.relay import OutboxRelay
from ragmesh.storage.vectors.port import ChunkKeeper
from ragmesh.storage.vectors.spaces import Everywhere, Space, Spaces
from svc_document.collections import Shelves
from svc_document.documents import Library
from svc_document.indexing import Indexer
from svc_document.ingest import Ingest
from svc_document.leasing import LeaseKeeper
from svc_document.migrations import MIGRATIONS
from svc_document.parse.pool import ParsePool
from svc_document.ports import Cutter
from svc_document.reembed import Move
from svc_document.service import DocumentServicer
from svc_document.stages import RetryPolicy
from svc_document.store.announce import Announcer, announced, silent
from svc_document.store.chores import SqlChores
from svc_document.store.collections import SqlCollections
from svc_document.store.documents import SqlDocuments
from svc_document.store.leases import SqlLeases
from svc_document.store.reembeddings import SqlReembeddings
from svc_document.succession import Succession
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
    spaces: Callable[[], Sequence[Space]]  # those that chunks are kept in now

    @property
    def vectors(self) -> ChunkKeeper:
        """The chunks, wherever they are kept."""
        return Everywhere(self.spaces)

    @property
    def settings(self) -> Settings:
        """As they are now."""
        return self.live.now

    @property
    def announce(self) -> Announcer:
        """Whom changes of documents are told: others, where Kafka carries it to them."""
        return announced if by_kafka(self.settings) else silent


@asynccontextmanager
async def parts(live: Live, spaces: Spaces) -> AsyncIterator[Parts]:
    """Opens the stores, and brings the schema up to date."""
    settings = live.now
    async with (
        connect(settings.database) as database,
        Switch(live, embedding_models, spaces.open_all) as switch,
    ):
        await migrate(database, MIGRATIONS)
        yield Parts(live, database, ObjectBlobs.of(settings), lambda: switch.now)


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
            SqlReembeddings(parts.database, lease_s=parts.settings.lease_s),
        )


@asynccontextmanager
async def worker(parts: Parts, cutter: Cutter) -> AsyncIterator[Worker]:
    """The ingesting side."""
    settings = parts.settings
    leases = SqlLeases(parts.database, lease_s=settings.lease_s, announce=parts.announce)
    policy = RetryPolicy(settings.max_attempts, settings.retry_first_delay_s, settings.retry_max_delay_s)
    async with (
        LeaseKeeper(leases, lease_s=settings.lease_s) as keeper,
        Indexer(parts.spaces, batch=settings.embed_batch) as indexer,
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


def succession(parts: Parts, spaces: Spaces) -> Succession:
    """The re-embedding side."""

    async def opened(source: str, target: str) -> Move:
        _, chunks = await spaces.open(source)
        embedder, vectors = await spaces.open(target)
        return Move(chunks, vectors, embedder)

    async def lead(model: str) -> None:
        _, vectors = await spaces.open(model)
        await vectors.lead()

    return Succession(
        live=parts.live,
        store=open_config(parts.settings),
        jobs=SqlReembeddings(parts.database, lease_s=parts.settings.lease_s),
        opened=opened,
        lead=lead,
        batch=parts.settings.embed_batch,
    )


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
        Spaces(live.now) as spaces,
        parts(live, spaces) as opened,
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
        Spaces(settings, pressure) as spaces,
        parts(live, spaces) as opened,
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
            runs = [working.run(), sweeper.run(), succession(opened, spaces).run()]
            running_tasks = [tasks.create_task(run) for run in runs]
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
