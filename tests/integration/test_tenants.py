"""One tenant never sees, changes or counts another's: over every RPC of the document service that tenants call.

Both tenants have collections and documents of the same names and bytes, so that nothing but the tenant tells them
apart. An RPC without a case here fails the test.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2

from ragmesh import v1
from ragmesh.errors import NotFound
from ragmesh.rpc.context import bound, outgoing
from ragmesh.rpc.errors import translated
from tests.documents import House, house

DESCRIPTORS = Path(v1.__file__).with_name("descriptors.binpb")
FOR_OPERATORS = {
    "GetReembedding",
    "GetIngestStats",
    "ListFailedDocuments",
    "RetryFailedDocuments",
}  # over all tenants, by design
SHARED, PRIVATE = "handbook", "plans"
TEXT = b"the rocket leaves on tuesday"


@dataclass(frozen=True)
class World:
    """A house in which "ann" has documents, and "bob" looks for them."""

    home: House
    anns: v1.Document
    bobs: v1.Document

    async def as_bob(self, method: str, request: Any) -> Any:
        return await call(self.home, "bob", method, request)


async def call(home: House, tenant: str, method: str, request: Any) -> Any:
    with bound(tenant=tenant), translated():
        answer = getattr(home.stub, method)(request, **outgoing(10))
        return [one async for one in answer] if hasattr(answer, "__aiter__") else await answer


async def upload(home: House, tenant: str, collection: str, name: str = "notes.txt") -> v1.Document:
    async def requests() -> AsyncIterator[v1.UploadDocumentRequest]:
        yield v1.UploadDocumentRequest(spec=v1.UploadSpec(collection=collection, name=name))
        yield v1.UploadDocumentRequest(data=TEXT)

    return await call(home, tenant, "upload_document", requests())


@pytest.fixture
async def world(tmp_path: Path, database_url: str) -> AsyncIterator[World]:
    async with house(tmp_path, database_url=database_url) as home, home.working():
        for tenant in ("ann", "bob"):
            await call(home, tenant, "create_collection", v1.CreateCollectionRequest(name=SHARED))
        await call(home, "ann", "create_collection", v1.CreateCollectionRequest(name=PRIVATE))
        anns, bobs = [await upload(home, tenant, SHARED) for tenant in ("ann", "bob")]
        for tenant, document in (("ann", anns), ("bob", bobs)):
            await call(home, tenant, "watch_document", v1.WatchDocumentRequest(id=document.id))
        yield World(home, anns, bobs)


async def not_found(world: World, method: str, request: Any) -> None:
    with pytest.raises(NotFound):
        await world.as_bob(method, request)


async def uploading(world: World) -> None:
    assert (await upload(world.home, "bob", SHARED)).id == world.bobs.id != world.anns.id
    with pytest.raises(NotFound):
        await upload(world.home, "bob", PRIVATE)


async def listing_documents(world: World) -> None:
    listed = await world.as_bob("list_documents", v1.ListDocumentsRequest(collection=SHARED))
    assert [document.id for document in listed.documents] == [world.bobs.id]
    await not_found(world, "list_documents", v1.ListDocumentsRequest(collection=PRIVATE))


async def resolving(world: World) -> None:
    both = [world.anns.id, world.bobs.id]
    resolved = await world.as_bob(
        "resolve_documents", v1.ResolveDocumentsRequest(collection=SHARED, document_ids=both)
    )
    assert [live.document_id for live in resolved.live] == [world.bobs.id]


async def creating(world: World) -> None:
    made = await world.as_bob("create_collection", v1.CreateCollectionRequest(name=PRIVATE))
    theirs = await call(world.home, "ann", "get_collection", v1.GetCollectionRequest(name=PRIVATE))
    assert made.id != theirs.id


async def counting(world: World) -> None:
    own = await world.as_bob("get_collection", v1.GetCollectionRequest(name=SHARED))
    assert own.document_count == 1
    await not_found(world, "get_collection", v1.GetCollectionRequest(name=PRIVATE))


async def listing_collections(world: World) -> None:
    listed = await world.as_bob("list_collections", v1.ListCollectionsRequest())
    assert {one.name for one in listed.collections} == {"default", SHARED}


async def deleting_collections(world: World) -> None:
    await not_found(world, "delete_collection", v1.DeleteCollectionRequest(name=PRIVATE))
    await world.as_bob("delete_collection", v1.DeleteCollectionRequest(name=SHARED))
    await call(world.home, "ann", "get_document", v1.GetDocumentRequest(id=world.anns.id))
    assert world.home.vectors.of(world.anns.id)


CASES: dict[str, Callable[[World], Awaitable[None]]] = {
    "UploadDocument": uploading,
    "GetDocument": lambda world: not_found(world, "get_document", v1.GetDocumentRequest(id=world.anns.id)),
    "ListDocuments": listing_documents,
    "DeleteDocument": lambda world: not_found(world, "delete_document", v1.DeleteDocumentRequest(id=world.anns.id)),
    "ReprocessDocument": lambda world: not_found(
        world, "reprocess_document", v1.ReprocessDocumentRequest(id=world.anns.id)
    ),
    "WatchDocument": lambda world: not_found(world, "watch_document", v1.WatchDocumentRequest(id=world.anns.id)),
    "DownloadDocument": lambda world: not_found(
        world, "download_document", v1.DownloadDocumentRequest(id=world.anns.id)
    ),
    "ResolveDocuments": resolving,
    "CreateCollection": creating,
    "GetCollection": counting,
    "ListCollections": listing_collections,
    "DeleteCollection": deleting_collections,
}


def methods(service: str) -> set[str]:
    """Every RPC of a service, as the contract has it."""
    files = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file
    return {method.name for file in files for one in file.service if one.name == service for method in one.method}


def test_every_rpc_of_the_document_service_has_a_case():
    assert methods("DocumentService") - FOR_OPERATORS == CASES.keys()


@pytest.mark.parametrize("method", CASES)
async def test_a_tenant_meets_nothing_of_anothers(world: World, method: str):
    await CASES[method](world)

    (document,) = await call(world.home, "ann", "watch_document", v1.WatchDocumentRequest(id=world.anns.id))
    assert document == (await call(world.home, "ann", "get_document", v1.GetDocumentRequest(id=world.anns.id)))
    assert document.state == v1.DocumentState.READY
