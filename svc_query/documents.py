"""The document service, asked over gRPC."""

from collections.abc import Collection as CollectionOf

import grpc

from ragmesh import v1
from ragmesh.rpc.context import bound, outgoing
from ragmesh.rpc.errors import translated
from svc_query.ports import Collection, Live

RESOLVE_MAX = 1_000  # documents in one call


class RemoteDocuments:
    """Implements Documents. Its calls serve many searches at once, so each has a deadline of its own."""

    def __init__(self, channel: grpc.aio.Channel, *, timeout_s: float = 5.0) -> None:
        self._stub = v1.DocumentServiceStub(channel)
        self._timeout_s = timeout_s

    async def collection(self, tenant: str, name: str) -> Collection:
        """The tenant's collection of this name, as it is now."""
        with bound(tenant=tenant), translated():
            found = await self._stub.get_collection(v1.GetCollectionRequest(name=name), **outgoing(self._timeout_s))
        return Collection(found.id, found.revision)

    async def live(self, tenant: str, collection: str, document_ids: CollectionOf[str]) -> Live:
        """Those of the documents that may be shown now."""
        ids = sorted(document_ids)
        answers = [
            await self._resolve(tenant, collection, ids[start : start + RESOLVE_MAX])
            for start in range(0, len(ids), RESOLVE_MAX)
        ]
        oldest = min(answers, key=lambda live: live.collection.revision)
        return Live(oldest.collection, {k: v for live in answers for k, v in live.generations.items()})

    async def _resolve(self, tenant: str, collection: str, document_ids: list[str]) -> Live:
        request = v1.ResolveDocumentsRequest(collection=collection, document_ids=document_ids)
        with bound(tenant=tenant), translated():
            answer = await self._stub.resolve_documents(request, **outgoing(self._timeout_s))
        seen = answer.collection or v1.Collection()
        return Live(
            Collection(seen.id, seen.revision),
            {live.document_id: live.generation for live in answer.live},
        )
