"""Channels to the services: balanced, kept alive, and retrying what may be retried."""

import json
from pathlib import Path

import grpc

from ragmesh.rpc.discovery import StaticDiscovery
from ragmesh.settings import Settings

READS = {
    "DocumentService": (
        "GetDocument ListDocuments WatchDocument DownloadDocument ResolveDocuments"
        " GetCollection ListCollections GetIngestStats"
    ),
    "QueryService": "Search Answer SuggestQuestions Embed",
    "AdminService": "GetMesh WatchMesh GetStats GetConfig WatchConfig ListModels GetReindex ListDeadLetters",
    "InstanceService": "GetInstance",
}
# gRPC itself retries: never once a first message has come, and within a budget that failures use up (gRFC A6).
SERVICE_CONFIG = json.dumps(
    {
        "loadBalancingConfig": [{"round_robin": {}}],
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
        "methodConfig": [
            {
                "name": [
                    {"service": f"ragmesh.v1.{service}", "method": method}
                    for service, methods in READS.items()
                    for method in methods.split()
                ],
                "retryPolicy": {
                    "maxAttempts": 2,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
    }
)


def connect(settings: Settings, service: str) -> grpc.aio.Channel:
    """A channel to a service by its name in the discovery. Close it, or use it with `async with`."""
    return open_channel(settings, StaticDiscovery.parse(settings.discovery_url).address(service))


def open_channel(settings: Settings, address: str) -> grpc.aio.Channel:
    """A channel to one address, `host:port`."""
    options = client_options(settings)
    if not settings.tls_ca_file:
        return grpc.aio.insecure_channel(address, options)
    credentials = grpc.ssl_channel_credentials(
        read(settings.tls_ca_file), read(settings.tls_key_file), read(settings.tls_cert_file)
    )
    return grpc.aio.secure_channel(address, credentials, options)


def client_options(settings: Settings) -> list[tuple[str, str | int]]:
    """Channel arguments: a hung peer is noticed within seconds, a restarted one found within one."""
    return [
        ("grpc.service_config", SERVICE_CONFIG),
        ("grpc.max_send_message_length", settings.grpc_message_max_bytes),
        ("grpc.max_receive_message_length", settings.grpc_message_max_bytes),
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 2_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        ("grpc.use_local_subchannel_pool", 1),
    ]


def read(file: Path | None) -> bytes | None:
    """A certificate or key, where one is set."""
    return file.read_bytes() if file else None
