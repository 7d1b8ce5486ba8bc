"""Messages of the contract, as the edge's JSON."""

from datetime import datetime
from enum import Enum

from gateway import shapes
from ragmesh.v1 import (
    Backend,
    Chunk,
    Citation,
    Collection,
    Config,
    DeadLetter,
    Document,
    DocumentError,
    Instance,
    Key,
    Mesh,
    Model,
    SearchResult,
    Stats,
    Timings,
    Usage,
)


def document(message: Document) -> shapes.Document:
    """A document, its field names those of the contract."""
    return {
        "id": message.id,
        "collection": message.collection,
        "name": message.name,
        "content_type": message.content_type,
        "size_bytes": message.size_bytes,
        "sha256": message.sha256,
        "generation": message.generation,
        "state": name(message.state),
        "progress": round(message.progress, 3),
        "chunk_count": message.chunk_count,
        "page_count": message.page_count,
        "metadata": message.metadata,
        "error": document_error(message.error) if message.error else None,
        "attempts": message.attempts,
        "created_at": time(message.created_at),
        "updated_at": time(message.updated_at),
    }


def document_error(message: DocumentError) -> shapes.DocumentError:
    """Why a document failed."""
    return {
        "stage": name(message.stage),
        "code": message.code,
        "message": message.message,
        "retriable": message.retriable,
    }


def collection(message: Collection) -> shapes.Collection:
    """A collection."""
    return {
        "id": message.id,
        "name": message.name,
        "revision": message.revision,
        "document_count": message.document_count,
        "chunk_count": message.chunk_count,
        "created_at": time(message.created_at),
    }


def chunk(message: Chunk) -> shapes.Chunk:
    """A passage."""
    return {
        "chunk_id": message.chunk_id,
        "document_id": message.document_id,
        "document_name": message.document_name,
        "page": message.page,
        "start": message.start,
        "end": message.end,
        "text": message.text,
        "headings": message.headings,
        "metadata": message.metadata,
        "language": message.language,
    }


def result(message: SearchResult) -> shapes.Result:
    """A passage that was found."""
    return {**_chunk_of(message), "score": message.score}


def citation(message: Citation) -> shapes.Citation:
    """A passage with its mark."""
    return {**_chunk_of(message), "score": message.score, "marker": message.marker}


def _chunk_of(message: SearchResult | Citation) -> shapes.Chunk:
    return chunk(Chunk() if message.chunk is None else message.chunk)


def usage(message: Usage) -> shapes.Usage:
    """What the model read and wrote."""
    return {
        "prompt_tokens": message.prompt_tokens,
        "completion_tokens": message.completion_tokens,
        "total_tokens": message.prompt_tokens + message.completion_tokens,
    }


def timings(message: Timings | None) -> shapes.Timings:
    """Where the time went."""
    message = Timings() if message is None else message
    return {
        "queue_ms": message.queue_ms,
        "embed_ms": message.embed_ms,
        "search_ms": message.search_ms,
        "rerank_ms": message.rerank_ms,
        "prompt_ms": message.prompt_ms,
        "first_token_ms": message.first_token_ms,
        "generate_ms": message.generate_ms,
        "total_ms": message.total_ms,
    }


def server_timing(message: Timings | None) -> str:
    """The same as the value of a Server-Timing header (W3C Server Timing), of the stages that ran."""
    stages = {name.removesuffix("_ms"): value for name, value in timings(message).items()}
    return ", ".join(f"{stage};dur={value}" for stage, value in stages.items() if value)


def mesh(message: Mesh) -> shapes.Mesh:
    """Everything that runs."""
    return {
        "instances": [_instance(each) for each in message.instances],
        "backends": [_backend(each) for each in message.backends],
    }


def _instance(message: Instance) -> shapes.Instance:
    return {
        "id": message.id,
        "service": message.service,
        "address": message.address,
        "version": message.version,
        "health": name(message.health),
        "started_at": time(message.started_at),
        "in_flight": message.in_flight,
        "requests": message.requests,
        "failures": message.failures,
        "memory_bytes": message.memory_bytes,
        "pressure": round(message.pressure, 3),
    }


def _backend(message: Backend) -> shapes.Backend:
    return {
        "role": message.role,
        "uri": message.uri,
        "health": name(message.health),
        "detail": message.detail,
    }


def stats(message: Stats) -> shapes.Stats:
    """What an operator looks at first."""
    ingest = message.ingest
    return {
        "ingest": {
            "collections": ingest.collections,
            "documents": {name(count.state): count.count for count in ingest.documents},
            "chunks": ingest.chunks,
            "stored_bytes": ingest.stored_bytes,
            "oldest_unfinished_ms": ingest.oldest_unfinished_ms,
        }
        if ingest
        else None,
        "services": [
            {
                "service": load.service,
                "requests": load.requests,
                "failures": load.failures,
                "in_flight": load.in_flight,
            }
            for load in message.services
        ],
    }


def config(message: Config) -> shapes.Config:
    """The settings in effect."""
    return {
        "settings": [
            {"key": each.key, "value": each.value, "source": each.source, "dynamic": each.dynamic}
            for each in message.settings
        ],
        "revision": message.revision,
    }


def model(message: Model) -> shapes.Model:
    """A model of the inference server."""
    return {
        "name": message.name,
        "version": message.version,
        "role": name(message.role),
        "state": message.state,
        "reason": message.reason,
        "active": message.active,
        "weights": message.weights,
        "languages": message.languages,
        "dims": message.dims,
        "context_length": message.context_length,
        "successes": message.successes,
        "failures": message.failures,
        "percent": message.percent,
    }


def dead_letter(message: DeadLetter) -> shapes.DeadLetter:
    """A document that was given up."""
    return {
        "document_id": message.document_id,
        "document_name": message.document_name,
        "collection": message.collection,
        "error": document_error(message.error) if message.error else None,
        "attempts": message.attempts,
        "failed_at": time(message.failed_at),
    }


def key(message: Key | None) -> shapes.Key:
    """An API key, without its secret."""
    message = message or Key()
    return {
        "id": message.id,
        "tenant": message.tenant,
        "name": message.name,
        "scopes": [name(scope).lower() for scope in message.scopes],
        "created_at": time(message.created_at),
        "expires_at": time(message.expires_at),
        "revoked_at": time(message.revoked_at),
        "requests_per_minute": message.requests_per_minute,
        "tokens_per_minute": message.tokens_per_minute,
    }


def name(value: Enum) -> str:
    """An enum value as the contract names it, without its prefix."""
    return value.name or str(value.value)


def time(value: datetime | None) -> str | None:
    """RFC 3339, in UTC."""
    return value.isoformat().replace("+00:00", "Z") if value else None
