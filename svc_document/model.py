"""What the document service speaks of: collections, documents, and the lease under which one is processed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

DEFAULT_COLLECTION = "default"


class State(StrEnum):
    """Where a document is in its life."""

    QUEUED = "QUEUED"  # durable; waits for a worker, or for its next try
    PROCESSING = "PROCESSING"  # under a worker's lease
    READY = "READY"  # searchable
    FAILED = "FAILED"  # given up; `failure` says why
    DELETING = "DELETING"  # hidden from everyone; its parts are being removed


UNFINISHED = (State.QUEUED, State.PROCESSING)
TERMINAL = (State.READY, State.FAILED, State.DELETING)


class Stage(StrEnum):
    """A step of ingestion."""

    UPLOAD = "UPLOAD"
    PARSE = "PARSE"
    CHUNK = "CHUNK"
    EMBED = "EMBED"
    INDEX = "INDEX"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a try failed, for a person to act on."""

    stage: Stage
    code: str  # stable, for programs
    message: str
    retriable: bool  # trying again unchanged can help


@dataclass(frozen=True, slots=True)
class Collection:
    """The unit of tenancy and retrieval."""

    id: str
    tenant: str
    name: str
    revision: int  # grows whenever what a search finds may have changed
    document_count: int  # without those being deleted
    chunk_count: int  # searchable ones
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Document:
    """A document and what became of it."""

    id: str
    collection_id: str
    collection: str  # name
    name: str
    content_type: str  # empty until the bytes were looked at
    size_bytes: int
    sha256: str
    generation: int  # the newest, made or in the making
    live_generation: int | None  # the searchable one
    state: State
    progress: float  # of the current processing, 0 to 1
    chunk_count: int  # of the live generation
    page_count: int
    metadata: Mapping[str, str]
    failure: Failure | None
    attempts: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document whose bytes are kept and whose row is not there yet."""

    id: str
    name: str
    size_bytes: int
    sha256: str
    metadata: Mapping[str, str]
    idempotency_key: str = ""  # the client's own; empty for none


@dataclass(frozen=True, slots=True)
class LiveDocument:
    """A document that may be shown, and the only generation of it that may."""

    id: str
    generation: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """Documents that wait for a worker or are with one."""

    documents: int
    oldest_s: float  # how long the oldest has been waiting; 0 without any


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts over all tenants."""

    collections: int
    documents: Mapping[State, int]
    chunks: int
    stored_bytes: int
    backlog: Backlog


@dataclass(frozen=True, slots=True)
class Queued:
    """A generation of a document waits for a worker: the content of an event."""

    tenant: str
    document_id: str
    generation: int
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to process one generation of a document, until it runs out unrenewed."""

    token: str  # new for each lease; every write under the lease is fenced by it
    document_id: str
    generation: int
    collection_id: str
    name: str
    metadata: Mapping[str, str] = field(hash=False)
    attempt: int  # from 1


@dataclass(frozen=True, slots=True)
class Result:
    """What processing a document came to."""

    content_type: str
    page_count: int
    chunk_count: int


class LeaseLost(Exception):
    """The lease ran out or was taken, or the document is being deleted: whatever was done under it is void."""


class IngestError(Exception):
    """A step failed, for a reason that was understood."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure
