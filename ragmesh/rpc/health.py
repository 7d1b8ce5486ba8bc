"""Asking a server for its health (https://github.com/grpc/grpc/blob/master/doc/health-checking.md)."""

from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SERVING = "SERVING"


async def ask_health(channel: grpc.aio.Channel, within_s: float) -> str:
    """What it says of itself, SERVING or NOT_SERVING; the name of the status where it does not say."""
    stub: Any = health_pb2_grpc.HealthStub(channel)  # grpcio-health-checking has no types
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=within_s)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
