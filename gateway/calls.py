"""What a route needs of the mesh: stubs of the services, and the settings."""

from collections.abc import Mapping
from dataclasses import dataclass

import grpc
from aiohttp import web

from ragmesh.rpc.auth.credentials import Credentials
from ragmesh.rpc.config import Live
from ragmesh.settings import Settings
from ragmesh.v1 import AdminServiceStub, DocumentServiceStub, QueryServiceStub


@dataclass(frozen=True, slots=True)
class Services:
    """The services behind the edge."""

    live: Live
    channels: Mapping[str, grpc.aio.Channel]
    documents: DocumentServiceStub
    query: QueryServiceStub
    admin: AdminServiceStub
    credentials: Credentials | None  # None where the mesh is open

    @property
    def settings(self) -> Settings:
        """As they are now."""
        return self.live.now


SERVICES = web.AppKey("services", Services)


def services(request: web.Request) -> Services:
    """The services of the application that handles a request."""
    return request.app[SERVICES]
