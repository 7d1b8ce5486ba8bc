"""Channels to Triton: to one server, or balanced over several by what they have to do.

channel("127.0.0.1:8001")                              # one
channel("triton-1:8001,triton-2:8001")                 # several
channel("consul://127.0.0.1:8500/triton")              # those that Consul knows under this name
"""

import grpc

from ragmesh import settings as configuration
from ragmesh.rpc.balancer import BalancedChannel
from ragmesh.rpc.discovery import Discovery, discover
from ragmesh.rpc.discovery.static import StaticDiscovery
from ragmesh.rpc.pool import Pool

SERVICE = "triton"
CHANNEL_ARGUMENTS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]
REPEATABLE = frozenset(
    f"/inference.GRPCInferenceService/{method}"
    for method in (
        "ModelInfer",
        "ModelConfig",
        "ModelReady",
        "ModelStatistics",
        "RepositoryIndex",
        "ServerMetadata",
    )
)


def dial(address: str) -> grpc.aio.Channel:
    """A channel to one server."""
    return grpc.aio.insecure_channel(address, CHANNEL_ARGUMENTS)


def balanced(url: str) -> BalancedChannel | None:
    """A channel over several servers, for `async with`; None where a URL names one."""
    if url.startswith("consul"):
        base, _, service = url.rpartition("/")
        settings = configuration.load().model_copy(update={"discovery_url": base})
        return _over(discover(settings), service)
    addresses = tuple(address.strip() for address in url.split(","))
    return _over(StaticDiscovery({SERVICE: addresses}), SERVICE) if len(addresses) > 1 else None


def _over(discovery: Discovery, service: str) -> BalancedChannel:
    return BalancedChannel(Pool(service, dial), discovery, REPEATABLE)
