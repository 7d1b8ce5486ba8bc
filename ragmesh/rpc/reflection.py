"""Server reflection, so that `buf curl` and grpcurl need no .proto files."""

from collections.abc import Iterable
from importlib.resources import files

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2


def enable(server: grpc.aio.Server, services: Iterable[str]) -> None:
    """Describes the named services, health and reflection itself."""
    reflection.enable_server_reflection(
        (*services, health.SERVICE_NAME, reflection.SERVICE_NAME), server, _descriptors()
    )


def _descriptors() -> DescriptorPool:
    """The image that `buf build` made of proto/. betterproto2's messages bring no descriptors of their own."""
    pool = DescriptorPool()
    image = files("ragmesh.v1").joinpath("descriptors.binpb").read_bytes()
    for file in FileDescriptorSet.FromString(image).file:
        pool.AddSerializedFile(file.SerializeToString())
    for known in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        pool.AddSerializedFile(known.serialized_pb)
    return pool
