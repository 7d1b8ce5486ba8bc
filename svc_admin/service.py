"""AdminService on the wire."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing

import grpc

from ragmesh.errors import NotFound
from ragmesh.inference.port import ModelId
from ragmesh.rpc.config import Live
from ragmesh.rpc.context import outgoing
from ragmesh.rpc.errors import translated
from ragmesh.v1 import (
    AdminServiceServicer,
    Backend,
    Config,
    CreateKeyRequest,
    CreateKeyResponse,
    DocumentServiceStub,
    DropIndexRequest,
    DropIndexResponse,
    GetConfigRequest,
    GetIngestStatsRequest,
    GetMeshRequest,
    GetReembeddingRequest,
    GetReindexRequest,
    GetStatsRequest,
    Key,
    ListDeadLettersRequest,
    ListDeadLettersResponse,
    ListKeysRequest,
    ListKeysResponse,
    ListModelsRequest,
    ListModelsResponse,
    LoadModelRequest,
    Mesh,
    Model,
    PromoteModelRequest,
    Reembedding,
    Reindex,
    ReindexState,
    ReplayDeadLettersRequest,
    ReplayDeadLettersResponse,
    RevokeKeyRequest,
    RollbackModelRequest,
    SetConfigRequest,
    StartReindexRequest,
    Stats,
    UnloadModelRequest,
    UnloadModelResponse,
    VerifyModelRequest,
    VerifyModelResponse,
    WatchConfigRequest,
    WatchMeshRequest,
)
from svc_admin import access, registry
from svc_admin.configuration import Configuration
from svc_admin.dead_letters import DeadLetters
from svc_admin.instances import Instances, load_by_service
from svc_admin.keys import KeyRing
from svc_admin.models import Models

WATCH_EVERY_S = 1.0


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
        models: Models,
        drop: Callable[[ModelId], Awaitable[None]],
        live: Live,
        timeout_s: float,
    ) -> None:
        self._configuration = configuration
        self._instances = instances
        self._documents = documents
        self._dead_letters = dead_letters
        self._keys = keys
        self._backends = backends
        self._models = models
        self._drop = drop
        self._live = live
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
        found = await self._models.all()
        return ListModelsResponse(models=[registry.model_message(status, self._live.now) for status in found])

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

    async def load_model(self, request: LoadModelRequest, context: grpc.aio.ServicerContext) -> Model:
        return await self._shown(await self._models.load(request.name, request.version))

    async def unload_model(
        self, request: UnloadModelRequest, context: grpc.aio.ServicerContext
    ) -> UnloadModelResponse:
        await self._models.unload(request.name, request.version)
        return UnloadModelResponse()

    async def verify_model(
        self, request: VerifyModelRequest, context: grpc.aio.ServicerContext
    ) -> VerifyModelResponse:
        return registry.verdict_message(await self._models.verify(request.name, request.version))

    async def promote_model(self, request: PromoteModelRequest, context: grpc.aio.ServicerContext) -> Model:
        return await self._shown(await self._models.promote(request.name, request.version, request.percent))

    async def rollback_model(self, request: RollbackModelRequest, context: grpc.aio.ServicerContext) -> Model:
        return await self._shown(await self._models.roll_back(registry.role_named(request.role)))

    async def start_reindex(self, request: StartReindexRequest, context: grpc.aio.ServicerContext) -> Reindex:
        model = await self._models.begin_reembedding(request.model, request.version)
        return Reindex(id=str(model), model=model.name, version=model.version, state=ReindexState.RUNNING)

    async def get_reindex(self, request: GetReindexRequest, context: grpc.aio.ServicerContext) -> Reindex:
        asked = GetReembeddingRequest(model=request.id)
        try:
            with translated():
                found = await self._documents.get_reembedding(asked, **outgoing(self._timeout_s))
        except NotFound:
            if not request.id or request.id != self._live.now.embed_next:
                raise
            found = Reembedding(model=request.id, state="running")  # no worker has begun it yet
        return registry.reindex_message(found)

    async def drop_index(self, request: DropIndexRequest, context: grpc.aio.ServicerContext) -> DropIndexResponse:
        model = await self._models.stop_keeping(request.model, request.version)
        await self._drop(model)
        return DropIndexResponse()

    async def _shown(self, model: ModelId) -> Model:
        (status,) = [status for status in await self._models.all() if status.name == str(model)]
        return registry.model_message(status, self._live.now)
