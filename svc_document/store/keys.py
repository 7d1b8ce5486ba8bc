"""What clients have uploaded under keys of their own, in SQL: an upload that is sent again is not another one."""

from datetime import UTC, datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ragmesh.errors import AlreadyExists, FailedPrecondition
from svc_document.model import Collection, Document, NewDocument, State
from svc_document.store.tables import documents, select_documents, to_document, upload_keys


async def find_first(connection: AsyncConnection, collection: Collection, new: NewDocument) -> Document | None:
    """The document of the first upload with the same key, if there was one.

    Raises AlreadyExists where that was another upload, FailedPrecondition where its document is gone.
    """
    first = (
        await connection.execute(
            select(upload_keys).where(
                upload_keys.c.tenant == collection.tenant, upload_keys.c.key == new.idempotency_key
            )
        )
    ).first()
    if not first:
        return None
    if (first.collection_id, first.name, first.sha256) != (collection.id, new.name, new.sha256):
        raise AlreadyExists(
            f"the idempotency key {new.idempotency_key!r} was used for {first.name!r} with other bytes, another "
            "name or another collection: choose a new key for each upload",
            field="idempotency_key",
        )
    kept = select_documents().where(documents.c.id == first.document_id, documents.c.state != State.DELETING)
    row = (await connection.execute(kept)).first()
    if not row:
        raise FailedPrecondition(
            f"the document that was uploaded with the idempotency key {new.idempotency_key!r} is deleted: to "
            "upload it anew, choose a new key",
            field="idempotency_key",
        )
    return to_document(row)


async def remember(
    connection: AsyncConnection, collection: Collection, new: NewDocument, document: Document
) -> None:
    """Keeps what came of an upload. Raises IntegrityError where another with the same key was faster."""
    await connection.execute(
        insert(upload_keys),
        {
            "tenant": collection.tenant,
            "key": new.idempotency_key,
            "collection_id": collection.id,
            "document_id": document.id,
            "name": new.name,
            "sha256": new.sha256,
            "created_at": datetime.now(UTC),
        },
    )
