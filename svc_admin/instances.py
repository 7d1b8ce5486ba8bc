"""Asks every instance of the mesh about itself."""

import asyncio
from collections.abc import Mapping, Sequence

import grpc

from ragmesh.rpc import pool
from ragmesh.rpc.balancer import BalancedChannel
from ragmesh.rpc.context import outgoing
from ragmesh.v1 import GetInstanceRequest, Health, Instance, InstanceServiceStub, ServiceLoad

ANSWER_WITHIN_S = 2.0


class Instances:
    """The instances that discovery knows."""

    def __init__(self, channels: Mapping[str, BalancedChannel]) -> None:
        """`channels` maps a service's name to the channel to it."""
        self._channels = channels

    async def observe(self) -> list[Instance]:
        """Every instance as it answers now, by service; one that does not answer is UNREACHABLE."""
        return await asyncio.gather(
            *(
                _ask(service, instance)
                for service, channel in sorted(self._channels.items())
                for instance in sorted(channel.pool.instances, key=lambda one: one.endpoint.address)
            )
        )


async def _ask(service: str, instance: pool.Instance) -> Instance:
    try:
        stub = InstanceServiceStub(instance.channel)
        return await stub.get_instance(GetInstanceRequest(), **outgoing(ANSWER_WITHIN_S))
    except grpc.aio.AioRpcError:
        found = instance.endpoint
        return Instance(
            id=found.id, service=service, address=found.address, version=found.version, health=Health.UNREACHABLE
        )


def load_by_service(instances: Sequence[Instance]) -> list[ServiceLoad]:
    """What each service has done, summed over its instances."""
    loads = {instance.service: ServiceLoad(service=instance.service) for instance in instances}
    for instance in instances:
        load = loads[instance.service]
        load.requests += instance.requests
        load.failures += instance.failures
        load.in_flight += instance.in_flight
    return list(loads.values())
