"""Channels to the services: balanced over their instances, kept alive, and retrying what may be retried."""

from pathlib import Path

import grpc

from ragmesh.rpc.balancer import BalancedChannel
from ragmesh.rpc.discovery import discover
from ragmesh.rpc.pool import Pool
from ragmesh.settings import Settings

READS = {
    "DocumentService": (
        "GetDocument ListDocuments WatchDocument DownloadDocument ResolveDocuments"
        " GetCollection ListCollections GetIngestStats ListFailedDocuments"
    ),
    "QueryService": "Search Answer Complete ListChunks SuggestQuestions Embed",
    "AdminService": (
        "GetMesh WatchMesh GetStats GetConfig WatchConfig ListModels GetReindex ListDeadLetters ListKeys"
    ),
    "AccessService": "Authenticate",
    "InstanceService": "GetInstance",
}
IDEMPOTENT = frozenset(
    f"/ragmesh.v1.{service}/{method}" for service, methods in READS.items() for method in methods.split()
)


def connect(settings: Settings, service: str) -> BalancedChannel:
    """A channel to a service by its name in the discovery, for `async with`. Raises ValueError on a bad URL."""
    pool = Pool(service, lambda address: open_channel(settings, address))
    return BalancedChannel(pool, discover(settings), IDEMPOTENT)


def open_channel(settings: Settings, address: str) -> grpc.aio.Channel:
    """A channel to one address, `host:port`."""
    options = client_options(settings)
    if not (settings.tls or settings.tls_ca_file):
        return grpc.aio.insecure_channel(address, options)
    credentials = grpc.ssl_channel_credentials(
        read(settings.tls_ca_file), read(settings.tls_key_file), read(settings.tls_cert_file)
    )
    return grpc.aio.secure_channel(address, credentials, options)


def client_options(settings: Settings) -> list[tuple[str, str | int]]:
    """Channel arguments: a hung peer is noticed within two seconds, a restarted one found within one."""
    return [
        ("grpc.max_send_message_length", settings.grpc_message_max_bytes),
        ("grpc.max_receive_message_length", settings.grpc_message_max_bytes),
        ("grpc.keepalive_time_ms", 800),
        ("grpc.keepalive_timeout_ms", 800),
        ("grpc.http2.ping_timeout_ms", 800),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 1_000),  # also the time to connect in: a busy machine is late
        ("grpc.max_reconnect_backoff_ms", 1_000),
        ("grpc.use_local_subchannel_pool", 1),
    ]


def read(file: Path | None) -> bytes | None:
    """A certificate or key, where one is set."""
    return file.read_bytes() if file else None
