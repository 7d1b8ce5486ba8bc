"""The JSON that the edge answers with: what messages are written as, and what /openapi.json shows."""

from typing_extensions import TypedDict  # typing's own tells pydantic too little before Python 3.12


class DocumentError(TypedDict):
    """Why a document failed, for a person to act on."""

    stage: str
    code: str
    message: str
    retriable: bool


class Document(TypedDict):
    """A document and what became of it."""

    id: str
    collection: str
    name: str
    content_type: str
    size_bytes: int
    sha256: str
    generation: int
    state: str
    progress: float
    chunk_count: int
    page_count: int
    metadata: dict[str, str]
    error: DocumentError | None
    attempts: int
    created_at: str | None
    updated_at: str | None


class DocumentPage(TypedDict):
    """Documents, newest first."""

    documents: list[Document]
    next_page_token: str


class Collection(TypedDict):
    """The unit of tenancy and retrieval."""

    id: str
    name: str
    revision: int
    document_count: int
    chunk_count: int
    created_at: str | None


class CollectionPage(TypedDict):
    """Collections, by name."""

    collections: list[Collection]
    next_page_token: str


class Chunk(TypedDict):
    """A passage of a document."""

    chunk_id: str
    document_id: str
    document_name: str
    page: int
    start: int
    end: int
    text: str
    headings: list[str]
    metadata: dict[str, str]
    language: str


class ChunkPage(TypedDict):
    """Passages of a document, in the order of its text."""

    chunks: list[Chunk]
    next_page_token: str


class Result(Chunk):
    """A passage that was found."""

    score: float


class Citation(Result):
    """A passage with its mark in an answer's text."""

    marker: str


class Timings(TypedDict):
    """Where the time went; a stage that did not run is 0."""

    queue_ms: int
    embed_ms: int
    search_ms: int
    rerank_ms: int
    prompt_ms: int
    first_token_ms: int
    generate_ms: int
    total_ms: int


class Found(TypedDict):
    """What a search found, best first."""

    results: list[Result]
    mode: str  # as asked, or "dense" where the vector store can't rank words
    timings: Timings


class Usage(TypedDict):
    """What the model read and wrote, in tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Done(TypedDict):
    """How an answer ended."""

    finish_reason: str
    citations: list[Citation]
    timings: Timings


class Answer(Done):
    """An answer in one piece."""

    answer: str
    query: str  # what was searched for: the question, or what the conversation made of it
    usage: Usage


class Questions(TypedDict):
    """Questions that the documents can answer."""

    questions: list[str]


class Instance(TypedDict):
    """One process of the mesh."""

    id: str
    service: str
    address: str
    version: str
    health: str
    started_at: str | None
    in_flight: int
    requests: int
    failures: int
    memory_bytes: int
    pressure: float


class Backend(TypedDict):
    """A server behind the mesh."""

    role: str
    uri: str
    health: str
    detail: str


class Mesh(TypedDict):
    """Everything that runs."""

    instances: list[Instance]
    backends: list[Backend]


class IngestStats(TypedDict):
    """Counts over all tenants; `documents` is by state."""

    collections: int
    documents: dict[str, int]
    chunks: int
    stored_bytes: int
    oldest_unfinished_ms: int


class ServiceLoad(TypedDict):
    """What a service has done, over all its instances."""

    service: str
    requests: int
    failures: int
    in_flight: int


class Stats(TypedDict):
    """What an operator looks at first."""

    ingest: IngestStats | None
    services: list[ServiceLoad]


class Setting(TypedDict):
    """One setting, and where it came from."""

    key: str
    value: str
    source: str
    dynamic: bool


class Config(TypedDict):
    """The settings in effect."""

    settings: list[Setting]
    revision: int


class Model(TypedDict):
    """A model of the inference server."""

    name: str
    version: str
    role: str
    state: str
    reason: str
    active: bool
    weights: str
    languages: list[str]
    dims: int
    context_length: int
    successes: int
    failures: int
    percent: int  # of its role's requests


class Models(TypedDict):
    """The models of the inference server."""

    models: list[Model]


class DeadLetter(TypedDict):
    """A document that was given up."""

    document_id: str
    document_name: str
    collection: str
    error: DocumentError | None
    attempts: int
    failed_at: str | None


class DeadLetterPage(TypedDict):
    """Dead letters, newest first."""

    dead_letters: list[DeadLetter]
    next_page_token: str


class Key(TypedDict):
    """An API key, without its secret."""

    id: str
    tenant: str
    name: str
    scopes: list[str]
    created_at: str | None
    expires_at: str | None
    revoked_at: str | None
    requests_per_minute: int
    tokens_per_minute: int


class MadeKey(Key):
    """An API key as it is made: `key` is what callers present, and is shown this once."""

    key: str


class KeyPage(TypedDict):
    """API keys, newest first."""

    keys: list[Key]
    next_page_token: str


class Replayed(TypedDict):
    """How many dead letters were queued again."""

    replayed: int


class Alive(TypedDict):
    """That the edge runs."""

    status: str


class Readiness(TypedDict):
    """Whether the mesh can serve, part by part."""

    status: str
    parts: dict[str, str]
