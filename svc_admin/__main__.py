"""The admin service's process: `python -m svc_admin`."""

import asyncio
from contextlib import AsyncExitStack

from pymilvus import AsyncMilvusClient

from ragmesh.inference.port import ModelId
from ragmesh.inference.triton import Triton
from ragmesh.rpc.channels import connect
from ragmesh.rpc.config import Live, open_config
from ragmesh.rpc.discovery import SERVICES
from ragmesh.rpc.server import run, serving
from ragmesh.storage import database as sql
from ragmesh.storage.vectors.milvus import CHANNEL_OPTIONS, drop, lead
from ragmesh.storage.vectors.schema import collection_name
from ragmesh.v1 import DocumentServiceStub
from svc_admin.access import AccessServicer
from svc_admin.backends import Backends
from svc_admin.configuration import Configuration
from svc_admin.dead_letters import DeadLetters
from svc_admin.instances import Instances
from svc_admin.key_store import SqlKeys
from svc_admin.keys import KeyRing
from svc_admin.migrations import MIGRATIONS
from svc_admin.models import Models
from svc_admin.service import AdminServicer
from svc_admin.triton_watch import watch_all


async def main(live: Live) -> None:
    """Builds the adapters, wires them, serves until it is asked to stop."""
    settings = live.now
    async with AsyncExitStack() as opened:
        channels = {service: await opened.enter_async_context(connect(settings, service)) for service in SERVICES}
        triton = await opened.enter_async_context(Triton(settings.triton_url))
        milvus = AsyncMilvusClient(
            settings.milvus_uri, token=settings.milvus_token.get_secret_value(), grpc_options=CHANNEL_OPTIONS
        )
        opened.push_async_callback(milvus.close)
        database = await opened.enter_async_context(sql.connect(settings.database))
        await sql.migrate(database, MIGRATIONS)
        keys = KeyRing(SqlKeys(database))
        backends = Backends(triton, milvus, settings.milvus_uri)
        documents = DocumentServiceStub(channels["document"])
        store = open_config(settings)
        servicer = AdminServicer(
            configuration=Configuration(live, store),
            instances=Instances(channels),
            documents=documents,
            dead_letters=DeadLetters(documents, settings.call_timeout_s),
            keys=keys,
            backends=backends.observe,
            models=Models(triton, live, store, lambda model: lead(milvus, chunks_of(model))),
            drop=lambda model: drop(milvus, chunks_of(model)),
            live=live,
            timeout_s=settings.call_timeout_s,
        )
        servicers = (servicer, AccessServicer(keys))
        running = await opened.enter_async_context(serving("admin", servicers, live, check_key=keys.authenticate))
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch_all(triton, live)) if settings.triton_watch else None
            await running.stopped()
            if watching:
                watching.cancel()


def chunks_of(model: ModelId) -> str:
    """The collection in Milvus that has an embedding model's vectors."""
    return collection_name(model.name, model.version)


if __name__ == "__main__":
    run("admin", main)
