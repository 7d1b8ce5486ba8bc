"""Lets calls in to a gRPC server: whose each is, and whether its caller may."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from ragmesh.access import ALL, ANYBODY, Identity, Scope
from ragmesh.errors import PermissionDenied, Unauthenticated
from ragmesh.rpc.auth.credentials import CheckKey, Credentials, bearer
from ragmesh.rpc.auth.needs import MESH, NEEDS
from ragmesh.rpc.auth.tokens import SERVICE_TOKEN_KEY, Signer
from ragmesh.rpc.context import TENANT_KEY
from ragmesh.settings import Settings


class Gate(Protocol):
    """Stands before every call but those for health and reflection."""

    async def admit(self, method: str, metadata: Mapping[str, str]) -> Identity:
        """Whose call it is. Raises Unauthenticated, PermissionDenied, Unavailable."""
        ...


class OpenGate:
    """Believes everybody, and the tenant that they name: for a mesh on loopback that is used by one person."""

    async def admit(self, method: str, metadata: Mapping[str, str]) -> Identity:
        return Identity(metadata.get(TENANT_KEY, ANYBODY.tenant), ALL, ANYBODY.subject)


class Guard:
    """Believes service tokens, keys and tokens of the issuer, and lets each do what it may."""

    def __init__(self, signer: Signer, credentials: Credentials) -> None:
        self._signer = signer
        self._credentials = credentials

    async def admit(self, method: str, metadata: Mapping[str, str]) -> Identity:
        need = NEEDS.get(method)
        if token := metadata.get(SERVICE_TOKEN_KEY):
            identity = self._signer.identity(token)
        elif need == MESH:
            raise Unauthenticated("this method is for parts of the mesh: they present a service token")
        else:
            identity = await self._credentials.identity(bearer(metadata.get("authorization", "")))
        if need is None:
            raise PermissionDenied(f"nobody may call {method}: it is not in the table of what callers need")
        if isinstance(need, Scope):
            require(identity, need)
        return identity


def require(identity: Identity, need: Scope) -> None:
    """Raises PermissionDenied where a caller lacks a scope."""
    if need not in identity.scopes:
        has = " and ".join(sorted(identity.scopes)) or "none"
        raise PermissionDenied(f"this needs the scope {need}, and the credential has {has}")


@asynccontextmanager
async def gate_of(settings: Settings, check_key: CheckKey | None = None) -> AsyncIterator[Gate]:
    """The gate that the settings ask for. Raises ValueError where they lack the service secret."""
    if settings.auth == "open":
        yield OpenGate()
        return
    signer = Signer.of(settings)
    async with Credentials.of(settings, check_key) as credentials:
        yield Guard(signer, credentials)
