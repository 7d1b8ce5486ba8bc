"""The mesh as its operators see it: what runs, settings, models, keys, and what was given up."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import datetime

from ragmesh.client.connection import Connection
from ragmesh.v1 import (
    Config,
    CreateKeyRequest,
    CreateKeyResponse,
    DeadLetter,
    DropIndexRequest,
    GetConfigRequest,
    GetMeshRequest,
    GetReindexRequest,
    GetStatsRequest,
    Key,
    ListDeadLettersRequest,
    ListKeysRequest,
    ListModelsRequest,
    LoadModelRequest,
    Mesh,
    Model,
    ModelRole,
    PromoteModelRequest,
    Reindex,
    ReplayDeadLettersRequest,
    RevokeKeyRequest,
    RollbackModelRequest,
    Scope,
    SetConfigRequest,
    StartReindexRequest,
    Stats,
    UnloadModelRequest,
    VerifyModelRequest,
    VerifyModelResponse,
    WatchMeshRequest,
)

MODEL_S = 600.0  # weights are read, and golden questions are answered
WATCH_S = 24 * 3600.0  # longest watch of the mesh, where none is given


class AdminCalls(Connection):
    """What a client does as an operator."""

    async def mesh(self, *, timeout: float | None = None) -> Mesh:
        """Every instance and backing server, with its health."""
        return await self._repeatable(self._admin.get_mesh, GetMeshRequest(), timeout)

    def watch_mesh(self, *, timeout: float = WATCH_S) -> AsyncGenerator[Mesh, None]:
        """The mesh now and after each change, at most once a second."""
        return self._stream(self._admin.watch_mesh, WatchMeshRequest(), timeout, resumes=True)

    async def stats(self, *, timeout: float | None = None) -> Stats:
        """Counts and rates."""
        return await self._repeatable(self._admin.get_stats, GetStatsRequest(), timeout)

    async def models(self, *, timeout: float | None = None) -> Sequence[Model]:
        """The models that the inference server knows."""
        return (await self._repeatable(self._admin.list_models, ListModelsRequest(), timeout)).models

    async def load_model(self, model: str, *, timeout: float = MODEL_S) -> Model:
        """Loads a version, NAME@VERSION or NAME for the newest. Raises NotFound, FailedPrecondition."""
        name, version = _named(model)
        return await self._call(self._admin.load_model, LoadModelRequest(name=name, version=version), timeout)

    async def unload_model(self, model: str, *, timeout: float | None = None) -> None:
        """Unloads a version that no request goes to. Raises NotFound, FailedPrecondition."""
        name, version = _named(model)
        await self._call(self._admin.unload_model, UnloadModelRequest(name=name, version=version), timeout)

    async def verify_model(self, model: str, *, timeout: float = MODEL_S) -> VerifyModelResponse:
        """Puts golden questions to a version. Raises NotFound, FailedPrecondition."""
        name, version = _named(model)
        return await self._call(self._admin.verify_model, VerifyModelRequest(name=name, version=version), timeout)

    async def promote_model(self, model: str, *, percent: int | None = None, timeout: float = MODEL_S) -> Model:
        """Lets a version take over, or `percent` of its role's requests. Raises NotFound, FailedPrecondition."""
        name, version = _named(model)
        request = PromoteModelRequest(name=name, version=version, percent=percent)
        return await self._call(self._admin.promote_model, request, timeout)

    async def roll_back_model(self, role: ModelRole, *, timeout: float = MODEL_S) -> Model:
        """Ends a trial, or goes back to the version before. Raises FailedPrecondition."""
        return await self._call(self._admin.rollback_model, RollbackModelRequest(role=role), timeout)

    async def start_reindex(self, model: str, *, timeout: float = MODEL_S) -> Reindex:
        """Begins to embed all documents with another model. Raises NotFound, FailedPrecondition."""
        name, version = _named(model)
        return await self._call(
            self._admin.start_reindex, StartReindexRequest(model=name, version=version), timeout
        )

    async def reindex(self, model: str = "", *, timeout: float | None = None) -> Reindex:
        """How far a re-embedding has come; the latest without a model. Raises NotFound."""
        return await self._repeatable(self._admin.get_reindex, GetReindexRequest(id=model), timeout)

    async def drop_index(self, model: str, *, timeout: float | None = None) -> None:
        """Deletes the vectors of a model that is not in use. Raises NotFound, FailedPrecondition."""
        name, version = _named(model)
        await self._call(self._admin.drop_index, DropIndexRequest(model=name, version=version), timeout)

    async def config(self, *, timeout: float | None = None) -> Config:
        """The settings in effect, and where each came from."""
        return await self._repeatable(self._admin.get_config, GetConfigRequest(), timeout)

    async def set_config(
        self, key: str, value: str, *, expected_revision: int | None = None, timeout: float | None = None
    ) -> Config:
        """Changes a setting of the whole mesh; an empty value takes it back. Raises InvalidArgument, Aborted."""
        request = SetConfigRequest(key=key, value=value, expected_revision=expected_revision)
        return await self._call(self._admin.set_config, request, timeout)

    async def dead_letters(self, *, timeout: float | None = None) -> AsyncIterator[DeadLetter]:
        """Documents of all tenants that were given up, newest first, fetched page by page."""
        async for page in self._pages(self._admin.list_dead_letters, ListDeadLettersRequest(), timeout):
            for letter in page.dead_letters:
                yield letter

    async def replay(self, document_ids: Sequence[str] = (), *, timeout: float | None = None) -> int:
        """Queues documents again that were given up, all without ids; returns how many."""
        request = ReplayDeadLettersRequest(document_ids=list(document_ids))
        return (await self._call(self._admin.replay_dead_letters, request, timeout)).replayed

    async def create_key(
        self,
        name: str,
        *,
        tenant: str = "",
        scopes: Sequence[Scope] = (),
        expires_at: datetime | None = None,
        requests_per_minute: int = 0,
        tokens_per_minute: int = 0,
        timeout: float | None = None,
    ) -> CreateKeyResponse:
        """A new API key. Its `secret` is shown here and never again."""
        request = CreateKeyRequest(
            name=name,
            tenant=tenant,
            scopes=list(scopes),
            expires_at=expires_at,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
        )
        return await self._call(self._admin.create_key, request, timeout)

    async def list_keys(self, tenant: str = "", *, timeout: float | None = None) -> AsyncIterator[Key]:
        """The keys of a tenant, or of all, newest first, without their secrets."""
        async for page in self._pages(self._admin.list_keys, ListKeysRequest(tenant=tenant), timeout):
            for key in page.keys:
                yield key

    async def revoke_key(self, key_id: str, *, timeout: float | None = None) -> Key:
        """Ends a key. Raises NotFound."""
        return await self._call(self._admin.revoke_key, RevokeKeyRequest(id=key_id), timeout)


def _named(model: str) -> tuple[str, str]:
    """Name and version, which may be missing."""
    name, _, version = model.partition("@")
    return name, version
