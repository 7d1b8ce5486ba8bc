"""AdminService on the wire."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

import grpc

from ragmesh.errors import Unimplemented
from ragmesh.rpc.context import outgoing
from ragmesh.rpc.errors import translated
from ragmesh.v1 import (
    AdminServiceServicer,
    Backend,
    Config,
    CreateKeyRequest,
    CreateKeyResponse,
    DocumentServiceStub,
    GetConfigRequest,
    GetIngestStatsRequest,
    GetMeshRequest,
    GetStatsRequest,
    Key,
    ListDeadLettersRequest,
    ListDeadLettersResponse,
    ListKeysRequest,
    ListKeysResponse,
    ListModelsRequest,
    ListModelsResponse,
    Mesh,
    Model,
    ReplayDeadLettersRequest,
    ReplayDeadLettersResponse,
    RevokeKeyRequest,
    SetConfigRequest,
    Stats,
    WatchConfigRequest,
    WatchMeshRequest,
)
from svc_admin import access
from svc_admin.configuration import Configuration
from svc_admin.dead_letters import DeadLetters
from svc_admin.instances import Instances, load_by_service
from svc_admin.keys import KeyRing

WATCH_EVERY_S = 1.0


def _later(what: str) -> Any:
    """A method that a later version brings."""

    def refuse(*_: object) -> Any:
        raise Unimplemented(f"this version of ragmesh can't {what} yet")

    return refuse


class AdminServicer(AdminServiceServicer):
    """Composes what the instances, the backing servers and the settings tell."""

    def __init__(
        self,
        *,
        configuration: Configuration,
        instances: Instances,
        documents: DocumentServiceStub,
        dead_letters: DeadLetters,
        keys: KeyRing,
        backends: Callable[[], Awaitable[Sequence[Backend]]],
        models: Callable[[], Awaitable[Sequence[Model]]],
        timeout_s: float,
    ) -> None:
        self._configuration = configuration
        self._instances = instances
        self._documents = documents
        self._dead_letters = dead_letters
        self._keys = keys
        self._backends = backends
        self._models = models
        self._timeout_s = timeout_s

    async def get_mesh(self, request: GetMeshRequest, context: grpc.aio.ServicerContext) -> Mesh:
        instances, backends = await asyncio.gather(self._instances.observe(), self._backends())
        return Mesh(instances=instances, backends=list(backends))

    async def watch_mesh(self, request: WatchMeshRequest, context: grpc.aio.ServicerContext) -> AsyncIterator[Mesh]:
        shown = None
        while True:
            mesh = await self.get_mesh(GetMeshRequest(), context)
            if mesh != shown:
                yield mesh
                shown = mesh
            await asyncio.sleep(WATCH_EVERY_S)

    async def get_stats(self, request: GetStatsRequest, context: grpc.aio.ServicerContext) -> Stats:
        with translated():
            ingest, instances = await asyncio.gather(
                self._documents.get_ingest_stats(GetIngestStatsRequest(), **outgoing(self._timeout_s)),
                self._instances.observe(),
            )
        return Stats(ingest=ingest, services=load_by_service(instances))

    async def get_config(self, request: GetConfigRequest, context: grpc.aio.ServicerContext) -> Config:
        return self._configuration.shown()

    async def set_config(self, request: SetConfigRequest, context: grpc.aio.ServicerContext) -> Config:
        return await self._configuration.change(request)

    async def watch_config(
        self, request: WatchConfigRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[Config]:
        async with aclosing(self._configuration.followed()) as configs:
            async for config in configs:
                yield config

    async def list_models(
        self, request: ListModelsRequest, context: grpc.aio.ServicerContext
    ) -> ListModelsResponse:
        return ListModelsResponse(models=list(await self._models()))

    async def list_dead_letters(
        self, request: ListDeadLettersRequest, context: grpc.aio.ServicerContext
    ) -> ListDeadLettersResponse:
        return await self._dead_letters.page(request)

    async def replay_dead_letters(
        self, request: ReplayDeadLettersRequest, context: grpc.aio.ServicerContext
    ) -> ReplayDeadLettersResponse:
        return await self._dead_letters.replay(request)

    async def create_key(self, request: CreateKeyRequest, context: grpc.aio.ServicerContext) -> CreateKeyResponse:
        return await access.create(self._keys, request)

    async def list_keys(self, request: ListKeysRequest, context: grpc.aio.ServicerContext) -> ListKeysResponse:
        return await access.page(self._keys, request)

    async def revoke_key(self, request: RevokeKeyRequest, context: grpc.aio.ServicerContext) -> Key:
        return access.message_of(await self._keys.revoke(request.id))

    load_model = _later("load models while it runs")
    unload_model = _later("unload models while it runs")
    verify_model = _later("verify models")
    promote_model = _later("promote model versions")
    rollback_model = _later("promote model versions")
    start_reindex = _later("re-embed documents with another model")
    get_reindex = _later("re-embed documents with another model")
    drop_index = _later("re-embed documents with another model")
