"""What can be named as a model: collections, the language model and the embedder."""

from collections.abc import AsyncIterator
from datetime import datetime

from gateway.calls import Services
from gateway.openai.shapes import NamedModel
from gateway.paging import PAGE_SIZE_MAX
from ragmesh.errors import NotFound
from ragmesh.rpc.context import outgoing
from ragmesh.rpc.errors import translated
from ragmesh.v1 import Collection, ListCollectionsRequest, ListModelsRequest, ModelRole

OURS = "ragmesh"
DEFAULT = "default"


def collection_of(model: str) -> str:
    """The collection that a model's name stands for: ragmesh/NAME, or ragmesh for the default. Raises NotFound."""
    owner, slash, collection = model.partition("/")
    if owner != OURS or (slash and not collection):
        raise unknown(model, f"{OURS}/COLLECTION asks the documents of a collection")
    return collection or DEFAULT


def is_ours(model: str) -> bool:
    """Whether a model's name stands for a collection."""
    return model.partition("/")[0] == OURS


def unknown(model: str, right: str) -> NotFound:
    """Says that there is no such model, and what there is."""
    return NotFound(f"there is no model {model[:64]!r} here: {right}; GET /v1/models lists all", field="model")


async def known(mesh: Services, *roles: ModelRole) -> list[NamedModel]:
    """The models in use that do this, in the order of what they do."""
    with translated():
        listed = await mesh.admin.list_models(ListModelsRequest(), **outgoing(mesh.settings.call_timeout_s))
    return [named(model.name) for role in roles for model in listed.models if model.role is role and model.active]


async def collections(mesh: Services) -> list[NamedModel]:
    """The collections, each as a model that answers from it."""
    with translated():
        return [named(f"{OURS}/{one.name}", one.created_at) async for one in _collections(mesh)]


def named(name: str, created_at: datetime | None = None) -> NamedModel:
    """A model by its name. Triton does not say since when it has one."""
    created = int(created_at.timestamp()) if created_at else 0
    return {"id": name, "object": "model", "created": created, "owned_by": OURS}


async def _collections(mesh: Services) -> AsyncIterator[Collection]:
    """All of them, page after page: OpenAI's list has no pages."""
    token = ""
    while True:
        page = await mesh.documents.list_collections(
            ListCollectionsRequest(page_size=PAGE_SIZE_MAX, page_token=token),
            **outgoing(mesh.settings.call_timeout_s),
        )
        for collection in page.collections:
            yield collection
        if not (token := page.next_page_token):
            return
