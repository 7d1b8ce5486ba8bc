"""What a process tells of itself."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version

import grpc
import psutil
import uuid_utils

from ragmesh.rpc.load import Load
from ragmesh.v1 import GetInstanceRequest, Health, Instance, InstanceServiceServicer

VERSION = version("ragmesh")


@dataclass(slots=True)
class Identity:
    """Who this process is, and how it does."""

    service: str
    address: str = ""
    serving: bool = True
    load: Load = field(default_factory=Load)
    pressure: Callable[[], float] = lambda: 0.0
    id: str = field(default_factory=lambda: str(uuid_utils.uuid7()))
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class InstanceServicer(InstanceServiceServicer):
    """Answers GetInstance."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._process = psutil.Process(os.getpid())

    async def get_instance(self, request: GetInstanceRequest, context: grpc.aio.ServicerContext) -> Instance:
        me = self._identity
        return Instance(
            id=me.id,
            service=me.service,
            address=me.address,
            version=VERSION,
            health=Health.SERVING if me.serving else Health.NOT_SERVING,
            started_at=me.started_at,
            in_flight=me.load.in_flight,
            requests=me.load.requests,
            failures=me.load.failures,
            memory_bytes=self._process.memory_info().rss,
            pressure=me.pressure(),
        )
