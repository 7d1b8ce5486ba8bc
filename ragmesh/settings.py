"""Every setting of ragmesh, typed, in one place.

    >>> Settings().grpc_message_max_bytes
    4194304

The environment is read here and nowhere else: `RAGMESH_MILVUS_URI=http://milvus:19530` sets `milvus_uri`. A file
named by `RAGMESH_ENV_FILE` (default `.env`) may hold the same lines; the environment wins.
"""

import os
import re
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "RAGMESH_"
HIDDEN = "********"

SECRET_MIN_CHARS = 32
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
KIB = 1024
MIB = 1024 * KIB


def _dynamic(default: Any, **constraints: Any) -> Any:
    """A setting that can be changed while the mesh runs."""
    return Field(default, json_schema_extra={"dynamic": True}, **constraints)


def _level(name: str) -> str:
    if name not in LEVELS:
        raise ValueError(f"it must be one of {', '.join(LEVELS)}")
    return name


def _long_enough(secret: SecretStr) -> SecretStr:
    if 0 < len(secret.get_secret_value()) < SECRET_MIN_CHARS:
        raise ValueError(f"it must have at least {SECRET_MIN_CHARS} characters: try `openssl rand -hex 32`")
    return secret


ServiceSecret = Annotated[SecretStr, AfterValidator(_long_enough)]


def _networks(listed: str) -> str:
    for each in filter(None, map(str.strip, listed.split(","))):
        ip_network(each, strict=False)
    return listed


MODEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}@[1-9][0-9]{0,8}")
EMBEDDERS = {"multilingual": "e5-small@1", "english": "minilm-l6@1"}  # what `embedder` means


def _model(named: str) -> str:
    if named and not MODEL.fullmatch(named):
        raise ValueError("it must be NAME@VERSION, for example e5-small@1, or empty")
    return named


def _models(named: str) -> str:
    return " ".join(map(_model, named.split()))


def _canary(told: str) -> str:
    model, _, percent = told.partition(" ")
    if told and not (_model(model) and percent.isdecimal() and 1 <= int(percent) <= 100):
        raise ValueError("it must be NAME@VERSION PERCENT, for example smollm2-135m@2 10, or empty")
    return told


ModelName = Annotated[str, AfterValidator(_model)]


class Settings(BaseSettings):
    """What a process of ragmesh can be told from outside. Sizes are bytes, times are seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, populate_by_name=True)

    profile: Literal["embedded", "mesh"] = Field("embedded", description="one machine, or many")
    data_dir: Path = Field(
        Path("~/.local/share/ragmesh"),
        description="where the embedded parts keep everything",
    )
    zone: str = Field("", description="zone of this instance, shown in the mesh")

    host: str = Field("127.0.0.1", description="address that the edge listens on")
    port: int = Field(8080, ge=0, le=65535, description="port of the edge; 0 takes a free one")
    listen: str = Field("127.0.0.1:0", description="host:port of this process's gRPC server")

    advertise: str = Field("", description="host that others reach this process at; empty for that of listen")

    auth: Literal["open", "required"] = Field(
        "open", description="open: whoever reaches the mesh may do all; required: callers present a key or a token"
    )
    api_key: SecretStr = Field(SecretStr(""), description="key that the SDK and the command line present")
    service_secret: ServiceSecret = Field(
        SecretStr(""), description="what parts of the mesh sign their calls with, the same for all of them"
    )
    service_secret_also: ServiceSecret = Field(
        SecretStr(""), description="another that is believed too, while the secret is being exchanged"
    )
    auth_cache_s: float = Field(10.0, gt=0, le=300, description="how long a checked key is believed")
    oidc_issuer: str = Field("", description="URL of the OpenID Connect issuer whose tokens are taken")
    oidc_audience: str = Field("", description="what its tokens must be made for (`aud`)")
    oidc_jwks_url: str = Field("", description="its keys; empty for those that its discovery document names")
    oidc_tenant_claim: str = Field("tenant", min_length=1, description="claim of a token that names the tenant")
    oidc_scope_claim: str = Field("scope", min_length=1, description="claim of a token that has its scopes")

    metrics_listen: str = Field("", description="host:port of this process's metrics; empty for none")

    triton_url: str = Field(
        "127.0.0.1:8001",
        description="host:port of Triton's gRPC endpoint, several with commas, or consul://HOST:PORT/SERVICE",
    )
    triton_watch: bool = Field(
        False, description="let the admin service load and heal models: where no `ragmesh` process runs Triton"
    )
    triton_metrics_url: str = Field("http://127.0.0.1:8002/metrics", description="Triton's Prometheus page")
    milvus_uri: str = Field("http://127.0.0.1:19530", description="Milvus, or Milvus Lite's server")
    milvus_token: SecretStr = Field(SecretStr(""), description="user:password or API key of Milvus")
    database_url: SecretStr = Field(
        SecretStr(""), description="SQLAlchemy URL; empty for SQLite in the data folder"
    )
    events_url: str = Field(
        "outbox:",
        description="how queued documents reach workers: outbox:, or kafka://HOST:PORT,HOST:PORT",
    )
    kafka_partitions: int = Field(12, ge=1, description="partitions of the topics that ragmesh makes")
    kafka_replication: int = Field(1, ge=1, description="replicas of each; 3 where there are as many brokers")
    discovery_url: str = Field(
        "static:document=127.0.0.1:7001,worker=127.0.0.1:7002,query=127.0.0.1:7003,"
        "admin=127.0.0.1:7004,gateway=127.0.0.1:7005",
        description="how services find each other: static:NAME=HOST:PORT,… or consul://HOST:PORT",
    )
    consul_token: SecretStr = Field(SecretStr(""), description="ACL token for Consul")
    consul_ca_file: Path | None = Field(None, description="authority of Consul's certificate, for consuls://")
    cache_url: SecretStr = Field(
        SecretStr("memory:"),
        description="where answers and query embeddings are cached: memory:, or redis://[USER:PASSWORD@]HOST:PORT/DB",
    )
    blobs_url: str = Field(
        "", description="where originals are kept: s3://BUCKET/PREFIX, gs://…; empty for files in the data folder"
    )
    s3_endpoint: str = Field("", description="URL of a store that speaks S3; empty for AWS")
    s3_region: str = Field("", description="its region; AWS_REGION is honoured too")
    s3_access_key_id: str = Field("", description="empty for what AWS_ACCESS_KEY_ID or the machine's role says")
    s3_secret_access_key: SecretStr = Field(SecretStr(""), description="the secret of the access key")
    s3_allow_http: bool = Field(False, description="let an S3 endpoint be reached without TLS")

    embedder: Literal["multilingual", "english"] = Field(
        "multilingual", description="which embedding model the embedded Triton serves"
    )
    embed_model: ModelName = _dynamic(
        "", description="embedding model of searches, NAME@VERSION; empty for what RAGMESH_EMBEDDER means"
    )
    embed_next: ModelName = _dynamic(
        "", description="embedding model that documents are being embedded with anew; searches go over when all are"
    )
    embed_also: Annotated[str, AfterValidator(_models)] = _dynamic(
        "", description="embedding models whose vectors are kept up too, so that searches can go over to them"
    )
    llm_model: ModelName = _dynamic("smollm2-135m@1", description="language model that answers, NAME@VERSION")
    llm_canary: Annotated[str, AfterValidator(_canary)] = _dynamic(
        "", description="language model that is tried on some answers, and on what percent: NAME@VERSION PERCENT"
    )
    llm_before: ModelName = _dynamic("", description="language model that answered before: what a rollback goes to")
    embed_before: ModelName = _dynamic("", description="embedding model of searches before, likewise")
    rerank_before: ModelName = _dynamic("", description="reranking model before, likewise")
    models_refused: str = _dynamic("", description="what was rolled back by itself last, and why")
    rerank_model: ModelName = _dynamic("", description="reranking model, NAME@VERSION; empty for none")
    models_manifest: Path | None = Field(
        None, description="manifest of your own models, besides the one that comes with ragmesh"
    )
    golden: Path | None = Field(
        None, description="golden questions that a model must pass before it is used; unset for those of ragmesh"
    )
    models_dir: Path | None = Field(
        None, description="Triton's model repository; unset for one built in the data folder"
    )
    llm_threads: int = Field(1, ge=1, description="CPU threads of the embedded language model")
    llm_slots: int = Field(4, ge=1, description="answers that the embedded model writes at once")
    llm_context: int = Field(2048, ge=256, description="tokens of prompt and answer of the embedded model")
    embed_threads: int = Field(1, ge=1, description="CPU threads of the embedded embedding model")

    upload_max_bytes: int = _dynamic(256 * MIB, gt=0, description="largest document")
    parse_processes: int = Field(2, ge=1, description="documents that are parsed at once")
    parse_timeout_s: float = Field(120.0, gt=0, description="longest parse of one document")
    parse_memory_bytes: int = Field(2048 * MIB, gt=0, description="most memory for one parse")
    text_max_chars: int = Field(20_000_000, gt=0, description="most text out of one document")
    chunk_tokens: int = Field(256, ge=32, le=480, description="longest chunk, in embedder tokens")
    chunk_overlap_tokens: int = Field(32, ge=0, description="tokens that neighbours share")
    ingest_concurrency: int = Field(16, ge=1, description="documents that one worker holds at once")
    embed_batch: int = Field(16, ge=1, le=64, description="chunks in one embedding request")
    lease_s: float = Field(15.0, gt=0, description="how long a worker holds a document unrenewed")
    poll_s: float = Field(0.1, gt=0, description="how often the outbox is looked at when idle")
    max_attempts: int = Field(8, ge=1, description="tries before a document is given up")
    retry_first_delay_s: float = Field(0.5, gt=0, description="delay before the second try")
    retry_max_delay_s: float = Field(30.0, gt=0, description="longest delay between tries")

    search_results: int = _dynamic(8, ge=1, le=100, description="passages of a search that asks for no number")
    answer_passages: int = _dynamic(4, ge=1, le=100, description="passages that an answer is written from")
    search_mode: Literal["hybrid", "dense", "sparse"] = _dynamic(
        "hybrid", description="how a search that does not say so finds its passages"
    )
    condense: Literal["words", "model", "off"] = _dynamic(
        "words",
        description="how a follow-up question is made to stand alone: by its words, or by the language model",
    )
    grounded: bool = _dynamic(
        True,
        description="whether answers say so where the documents don't answer, and quote where they can't be traced",
    )
    answer_cache: bool = _dynamic(True, description="whether answers are kept, for equal questions")
    suggestions: bool = _dynamic(True, description="whether questions are suggested")
    search_timeout_s: float = _dynamic(10.0, gt=0, le=600, description="deadline of a search")
    answer_timeout_s: float = _dynamic(180.0, gt=0, le=3600, description="deadline of a whole answer")
    chat_idle_s: float = _dynamic(
        600.0, gt=0, le=86_400, description="how long a stream of Chat may wait for its next turn"
    )
    call_timeout_s: float = Field(10.0, gt=0, description="deadline of every other call")
    search_target_s: float = _dynamic(
        2.0, gt=0, le=60, description="time in which nine of ten searches are to be answered; more are refused"
    )
    first_token_target_s: float = _dynamic(
        10.0, gt=0, le=600, description="time in which an answer is to begin; one that would begin later is refused"
    )
    cache_ttl_s: float = _dynamic(600.0, gt=0, le=7 * 86_400, description="how long cached values live")
    cache_max_bytes: int = Field(64 * MIB, gt=0, description="bound of the memory cache")
    in_flight_max: int = _dynamic(256, ge=1, le=100_000, description="calls one server handles at once")
    answers_max: int = _dynamic(32, ge=1, le=10_000, description="answers one query service works on at once")
    drain_s: float = Field(10.0, ge=0, description="how long a stopping server finishes its calls")
    grpc_message_max_bytes: int = Field(4 * MIB, gt=0, description="largest gRPC message")

    requests_per_minute: int = _dynamic(0, ge=0, description="requests of one caller in a minute; 0 for any number")
    tokens_per_minute: int = _dynamic(
        0, ge=0, description="tokens that models read and write for one caller in a minute; 0 for any number"
    )
    tenant_in_flight_max: int = _dynamic(
        0, ge=0, description="requests of one tenant that an edge handles at once; 0 for any number"
    )
    uploads_max: int = _dynamic(
        64, ge=1, description="uploads that one edge takes in at once, each a call to the document service"
    )
    downloads_max: int = _dynamic(64, ge=1, description="originals that are read from one edge at once, likewise")
    watches_max: int = _dynamic(
        128, ge=1, description="documents that one edge follows at once, however many readers each has"
    )
    connections_max: int = Field(16_384, ge=1, description="connections to the edge at once")
    idle_timeout_s: float = Field(
        75.0, gt=0, description="how long the edge keeps a connection that asks for nothing; more than proxies do"
    )
    head_timeout_s: float = Field(10.0, gt=0, description="time in which the head of a request must be complete")
    body_pace_bytes: int = _dynamic(
        256, ge=0, description="bytes in a second that a body must come with on average; 0 for any pace"
    )
    body_slow_s: float = _dynamic(20.0, gt=0, description="how long a body may come slower than that")
    cors_origins: str = _dynamic(
        "", description="origins whose pages may call the edge, comma separated, or *; empty for none"
    )
    trusted_proxies: Annotated[str, AfterValidator(_networks)] = Field(
        "127.0.0.0/8,::1", description="networks of proxies whose X-Forwarded-Proto counts, comma separated"
    )

    mesh: str = Field("", description="profile of the mesh that the SDK and the command use: `ragmesh profile`")
    tls: bool = Field(False, description="call gRPC servers by TLS; tls_ca_file means so too")
    tls_cert_file: Path | None = Field(None, description="certificate of gRPC servers and clients")
    tls_key_file: Path | None = Field(None, description="its private key")
    tls_ca_file: Path | None = Field(
        None, description="authority that peers must be signed by; unset for the public ones"
    )

    log_level: Annotated[str, AfterValidator(str.upper), AfterValidator(_level)] = _dynamic(
        "INFO",
        validation_alias=AliasChoices("RAGMESH_LOG_LEVEL", "LOG_LEVEL"),
        description="least level that is logged; LOG_LEVEL is honoured too",
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: readable on a terminal, JSON elsewhere"
    )
    otlp_endpoint: str = Field(
        "",
        validation_alias=AliasChoices("RAGMESH_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        description="where traces are sent, empty for nowhere; OTEL_EXPORTER_OTLP_ENDPOINT is honoured too",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.chunk_overlap_tokens * 2 > self.chunk_tokens:
            raise ValueError("chunk_overlap_tokens must be at most half of chunk_tokens")
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise ValueError("tls_cert_file and tls_key_file go together")
        if self.oidc_issuer and not self.oidc_audience:
            raise ValueError("oidc_issuer needs oidc_audience: tokens made for somebody else would open the mesh")
        return self

    @property
    def embedding(self) -> str:
        """The embedding model in effect, NAME@VERSION."""
        return self.embed_model or EMBEDDERS[self.embedder]

    @property
    def home(self) -> Path:
        """The data folder, absolute."""
        return self.data_dir.expanduser().absolute()

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in effect."""
        return self.database_url.get_secret_value() or f"sqlite+aiosqlite:///{self.home}/ragmesh.db"

    @property
    def blobs(self) -> str:
        """The blob store's URL in effect."""
        return self.blobs_url or f"file://{self.home}/blobs"

    @property
    def models(self) -> Path:
        """Triton's model repository in effect."""
        return self.models_dir or self.home / "model-repository"


DYNAMIC = frozenset(
    name for name, field in Settings.model_fields.items() if field.json_schema_extra == {"dynamic": True}
)


@dataclass(frozen=True, slots=True)
class Origin:
    """One setting as an operator sees it."""

    key: str  # RAGMESH_...
    value: str  # HIDDEN for a secret that is set
    source: str  # "default", "environment" or "file"
    description: str
    is_dynamic: bool  # can be changed while the mesh runs


def load() -> Settings:
    """Reads the environment and the env file. Raises pydantic.ValidationError on a bad value."""
    return Settings(_env_file=os.environ.get("RAGMESH_ENV_FILE", ".env"))  # pyright: ignore[reportCallIssue]


def config_home() -> Path:
    """Where this person's own configuration is kept, by the XDG convention."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "ragmesh"


def origins(settings: Settings) -> list[Origin]:
    """Every setting with its effective value and where it came from, by key."""
    return [
        Origin(
            key=PREFIX + name.upper(),
            value=_shown(getattr(settings, name)),
            source=_source(settings, name, field),
            description=field.description or "",
            is_dynamic=name in DYNAMIC,
        )
        for name, field in sorted(Settings.model_fields.items())
    ]


def _source(settings: Settings, name: str, field: FieldInfo) -> str:
    if name not in settings.model_fields_set:
        return "default"
    alias = field.validation_alias
    keys = alias.choices if isinstance(alias, AliasChoices) else [PREFIX + name.upper()]
    return "environment" if any(str(key) in os.environ for key in keys) else "file"


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return HIDDEN if value.get_secret_value() else ""
    return "" if value is None else str(value)


def explain(error: ValidationError, prefix: str = PREFIX) -> str:
    """What is wrong with values, a line each, by the names that people set."""
    return "\n".join(
        f"  {_name_of(problem['loc'], prefix)}: {reason(problem)}" for problem in error.errors(include_url=False)
    )


def reason(problem: ErrorDetails) -> str:
    """Why a value is refused, without the kind of exception that said so."""
    return problem["msg"].removeprefix("Value error, ")


def _name_of(place: tuple[int | str, ...], prefix: str) -> str:
    name = "_".join(map(str, place)) or "*"
    return prefix + name.upper().removeprefix(prefix) if prefix else name
