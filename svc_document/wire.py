"""The domain's types as messages of the contract, and back. Nothing else."""

from dataclasses import replace
from datetime import UTC, datetime

from ragmesh import v1
from ragmesh.storage.events.port import Event
from svc_document.model import Collection, Document, Failure, LiveDocument, Queued, State, Stats
from svc_document.reembed import Reembedding

QUEUED_TOPIC = "ragmesh.documents"
CHANGED_TOPIC = "ragmesh.documents.events"
DEAD_LETTER_TOPIC = "ragmesh.documents.dlq"
TOPICS = (QUEUED_TOPIC, CHANGED_TOPIC, DEAD_LETTER_TOPIC)

_STATES = {state: v1.DocumentState[state.value] for state in State}


def to_message(document: Document) -> v1.Document:
    """A document as callers see it."""
    return v1.Document(
        id=document.id,
        collection=document.collection,
        name=document.name,
        content_type=document.content_type,
        size_bytes=document.size_bytes,
        sha256=document.sha256,
        generation=document.generation,
        state=_STATES[document.state],
        progress=document.progress,
        chunk_count=document.chunk_count,
        page_count=document.page_count,
        metadata=dict(document.metadata),
        error=_to_error(document.failure) if document.failure else None,
        created_at=document.created_at,
        updated_at=document.updated_at,
        attempts=document.attempts,
    )


def _to_error(failure: Failure) -> v1.DocumentError:
    return v1.DocumentError(
        stage=v1.Stage[failure.stage.value],
        code=failure.code,
        message=failure.message,
        retriable=failure.retriable,
    )


def to_collection_message(collection: Collection) -> v1.Collection:
    """A collection as callers see it."""
    return v1.Collection(
        id=collection.id,
        name=collection.name,
        revision=collection.revision,
        document_count=collection.document_count,
        chunk_count=collection.chunk_count,
        created_at=collection.created_at,
    )


def to_live_message(live: LiveDocument) -> v1.LiveDocument:
    """A searchable document."""
    return v1.LiveDocument(document_id=live.id, generation=live.generation)


def to_stats_message(stats: Stats) -> v1.IngestStats:
    """Counts for operators."""
    return v1.IngestStats(
        collections=stats.collections,
        documents=[
            v1.StateCount(state=_STATES[state], count=count) for state, count in sorted(stats.documents.items())
        ],
        chunks=stats.chunks,
        stored_bytes=stats.stored_bytes,
        oldest_unfinished_ms=int(stats.backlog.oldest_s * 1000),
    )


def to_state(state: v1.DocumentState) -> State | None:
    """The state that a list is narrowed to; None for all."""
    if state == v1.DocumentState.UNSPECIFIED:
        return None
    return State(v1.DocumentState(state).name)


def to_event(queued: Queued) -> Event:
    """An event to publish: a document waits."""
    event = Event.of(QUEUED_TOPIC, key=queued.document_id, payload=b"", traceparent=queued.traceparent)
    message = v1.DocumentQueued(
        event_id=event.id,
        tenant=queued.tenant,
        document_id=queued.document_id,
        generation=queued.generation,
        queued_at=datetime.now(UTC),
        traceparent=queued.traceparent,
    )
    return replace(event, payload=bytes(message))


def to_changed_event(tenant: str, document: Document, traceparent: str) -> Event:
    """An event to publish: a document's state changed."""
    return _about(document, CHANGED_TOPIC, v1.DocumentChanged, tenant, traceparent)


def to_dead_letter_event(tenant: str, document: Document, traceparent: str) -> Event:
    """An event to publish: a document was given up."""
    return _about(document, DEAD_LETTER_TOPIC, v1.DocumentDeadLettered, tenant, traceparent)


def _about(
    document: Document,
    topic: str,
    kind: type[v1.DocumentChanged | v1.DocumentDeadLettered],
    tenant: str,
    traceparent: str,
) -> Event:
    event = Event.of(topic, key=document.id, payload=b"", traceparent=traceparent)
    message = kind(event_id=event.id, tenant=tenant, document=to_message(document), traceparent=traceparent)
    return replace(event, payload=bytes(message))


def from_event(event: Event) -> Queued:
    """An event that was delivered."""
    message = v1.DocumentQueued.parse(event.payload)
    return Queued(message.tenant, message.document_id, message.generation, message.traceparent)


def to_reembedding_message(reembedding: Reembedding) -> v1.Reembedding:
    """How far a re-embedding has come."""
    return v1.Reembedding(
        model=reembedding.model,
        state=reembedding.state,
        chunks_done=reembedding.chunks_done,
        chunks_total=reembedding.chunks_total,
        reason=reembedding.reason,
        created_at=reembedding.created_at,
        updated_at=reembedding.updated_at,
    )
