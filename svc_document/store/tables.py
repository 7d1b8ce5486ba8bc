"""The tables, and how their rows read in the domain."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Row,
    Select,
    String,
    Table,
    Text,
    select,
)

from ragmesh.storage.database import Instant
from svc_document.model import Collection, Document, Failure, Stage, State

metadata = MetaData()

collections = Table(
    "collections",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("tenant", String(255), nullable=False),
    Column("name", String(63), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("document_count", BigInteger, nullable=False),
    Column("chunk_count", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("deleted_at", Instant),
)
# A deleted collection's name is free at once, while its parts are still being removed.
Index(
    "collections_name",
    collections.c.tenant,
    collections.c.name,
    unique=True,
    sqlite_where=collections.c.deleted_at.is_(None),
    postgresql_where=collections.c.deleted_at.is_(None),
)

documents = Table(
    "documents",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("collection_id", String(36), ForeignKey("collections.id"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("content_type", String(255), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("live_generation", Integer),
    Column("chunk_count", Integer, nullable=False),
    Column("page_count", Integer, nullable=False),
    Column("progress", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("lease_token", String(36)),
    Column("lease_until", Instant),
    Column("next_attempt_at", Instant),  # set: a sweep queues it then; unset: an event is under way or none is due
    Column("error_stage", String(16)),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("error_retriable", Boolean),
    Column("queued_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Index("documents_page", "collection_id", "id"),
    Index("documents_state", "state", "lease_until"),
)
# The same bytes under the same name are one document, until it is deleted.
Index(
    "documents_content",
    documents.c.collection_id,
    documents.c.sha256,
    documents.c.name,
    unique=True,
    sqlite_where=documents.c.state != State.DELETING,
    postgresql_where=documents.c.state != State.DELETING,
)

# What was uploaded under a key of the client's own; kept for a day.
upload_keys = Table(
    "upload_keys",
    metadata,
    Column("tenant", String(255), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("collection_id", String(36), nullable=False),
    Column("document_id", String(36), nullable=False),
    Column("name", String(255), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Index("upload_keys_age", "created_at"),
)

reembeddings = Table(
    "reembeddings",
    metadata,
    Column("model", String(80), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("done_until", String(36), nullable=False),  # the last document of the first pass that is done
    Column("chunks_done", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("token", String(36)),
    Column("lease_until", Instant),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

NO_ERROR: Mapping[str, None] = {
    "error_stage": None,
    "error_code": None,
    "error_message": None,
    "error_retriable": None,
}
NO_LEASE: Mapping[str, None] = {"lease_token": None, "lease_until": None}


def select_documents() -> Select[Any]:
    """Documents as `to_document` reads them."""
    return select(documents, collections.c.name.label("collection"), collections.c.tenant).join(collections)


def to_document(row: Row[Any]) -> Document:
    """A row of `select_documents`."""
    return Document(
        id=row.id,
        collection_id=row.collection_id,
        collection=row.collection,
        name=row.name,
        content_type=row.content_type,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        generation=row.generation,
        live_generation=row.live_generation,
        state=State(row.state),
        progress=row.progress,
        chunk_count=row.chunk_count,
        page_count=row.page_count,
        metadata=row.metadata,
        failure=_to_failure(row),
        attempts=row.attempts,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _to_failure(row: Row[Any]) -> Failure | None:
    if row.error_stage is None:
        return None
    return Failure(Stage(row.error_stage), row.error_code, row.error_message, row.error_retriable)


def from_failure(failure: Failure) -> dict[str, Any]:
    """The columns of a failure."""
    return {
        "error_stage": failure.stage,
        "error_code": failure.code,
        "error_message": failure.message,
        "error_retriable": failure.retriable,
    }


def to_collection(row: Row[Any]) -> Collection:
    """A row of `collections`."""
    return Collection(
        id=row.id,
        tenant=row.tenant,
        name=row.name,
        revision=row.revision,
        document_count=row.document_count,
        chunk_count=row.chunk_count,
        created_at=row.created_at,
    )
