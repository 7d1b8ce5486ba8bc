"""Keys on the wire: AccessService, and the part of AdminService that makes and ends them."""

import grpc

from ragmesh.errors import InvalidArgument
from ragmesh.rpc.auth import scopes
from ragmesh.v1 import (
    AccessServiceServicer,
    AuthenticateRequest,
    CreateKeyRequest,
    CreateKeyResponse,
    Identity,
    ListKeysRequest,
    ListKeysResponse,
)
from ragmesh.v1 import Key as KeyMessage
from svc_admin.keys import KeyRing
from svc_admin.model import Key, NewKey


class AccessServicer(AccessServiceServicer):
    """Tells parts of the mesh whose key they were shown."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def authenticate(self, request: AuthenticateRequest, context: grpc.aio.ServicerContext) -> Identity:
        found = await self._keys.authenticate(request.key)
        return Identity(
            tenant=found.tenant,
            scopes=scopes.to_messages(found.scopes),
            subject=found.subject,
            requests_per_minute=found.requests_per_minute,
            tokens_per_minute=found.tokens_per_minute,
        )


async def create(keys: KeyRing, request: CreateKeyRequest) -> CreateKeyResponse:
    """Makes a key. Raises InvalidArgument."""
    wanted = scopes.from_messages(request.scopes)
    if len(wanted) < len(set(request.scopes)):
        raise InvalidArgument("scopes must be of READ, WRITE and ADMIN", field="scopes")
    key, secret = await keys.create(
        NewKey(
            tenant=request.tenant,
            name=request.name,
            scopes=wanted,
            expires_at=request.expires_at,
            requests_per_minute=request.requests_per_minute,
            tokens_per_minute=request.tokens_per_minute,
        )
    )
    return CreateKeyResponse(key=message_of(key), secret=secret)


async def page(keys: KeyRing, request: ListKeysRequest) -> ListKeysResponse:
    """Lists keys. Raises InvalidArgument."""
    found, following = await keys.page(request.tenant, size=request.page_size, token=request.page_token)
    return ListKeysResponse(keys=[message_of(key) for key in found], next_page_token=following)


def message_of(key: Key) -> KeyMessage:
    """A key without its secret."""
    return KeyMessage(
        id=key.id,
        tenant=key.tenant,
        name=key.name,
        scopes=scopes.to_messages(key.scopes),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        requests_per_minute=key.requests_per_minute,
        tokens_per_minute=key.tokens_per_minute,
    )
