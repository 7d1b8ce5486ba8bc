"""Asks every instance of the mesh about itself."""

import asyncio
from collections.abc import Mapping, Sequence

import grpc

from ragmesh.rpc.context import outgoing
from ragmesh.v1 import GetInstanceRequest, Health, Instance, InstanceServiceStub, ServiceLoad

ANSWER_WITHIN_S = 2.0


class Instances:
    """The instances that discovery knows, over a channel each."""

    def __init__(self, channels: Mapping[str, tuple[str, grpc.aio.Channel]]) -> None:
        """`channels` maps a service's name to the address and channel of its instance."""
        self._stubs = {
            service: (address, InstanceServiceStub(channel)) for service, (address, channel) in channels.items()
        }

    async def observe(self) -> list[Instance]:
        """Every instance as it answers now, by service; one that does not answer is UNREACHABLE."""
        return await asyncio.gather(*(self._ask(service) for service in sorted(self._stubs)))

    async def _ask(self, service: str) -> Instance:
        address, stub = self._stubs[service]
        try:
            return await stub.get_instance(GetInstanceRequest(), **outgoing(ANSWER_WITHIN_S))
        except grpc.aio.AioRpcError:
            return Instance(service=service, address=address, health=Health.UNREACHABLE)


def load_by_service(instances: Sequence[Instance]) -> list[ServiceLoad]:
    """What each service has done, summed over its instances."""
    loads = {instance.service: ServiceLoad(service=instance.service) for instance in instances}
    for instance in instances:
        load = loads[instance.service]
        load.requests += instance.requests
        load.failures += instance.failures
        load.in_flight += instance.in_flight
    return list(loads.values())
