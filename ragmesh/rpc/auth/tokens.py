"""Service tokens: how one part of the mesh tells another for whom it calls.

A token is a compact JWT, signed with the secret that all parts share, and good for two minutes. It carries the
tenant, the scopes and the name of the credential that the call began with. It travels under a key of its own, so
that nothing which came from outside is ever checked against the secret.

    signer = Signer(secret)
    await stub.get_document(request, metadata=[signer.present(identity)])   # the caller
    identity = signer.identity(token)                                       # the one who is called
"""

import time
from typing import Any, Self

import jwt

from ragmesh.access import Identity, Scope
from ragmesh.errors import Unauthenticated
from ragmesh.rpc.auth.believed import Believed
from ragmesh.settings import SECRET_MIN_CHARS, Settings

SERVICE_TOKEN_KEY = "ragmesh-service-token"  # noqa: S105 the name of a header
ALGORITHM = "HS256"
MESH = "ragmesh"  # who makes them, and for whom
LIFE_S = 120
FRESH_S = 60.0  # how long one is used again
CLOCKS_S = 15  # by which the clocks of two machines may differ
KEPT_MAX = 4096
CLAIMS = ["iss", "aud", "sub", "tenant", "scope", "iat", "exp"]


class Signer:
    """Makes service tokens, and reads those of others."""

    def __init__(self, secret: str, *also: str) -> None:
        """`also` has secrets whose tokens are believed too, while one is exchanged for another."""
        self._secret = secret
        self._believed_secrets = (secret, *filter(None, also))
        self._made: Believed[Identity, str] = Believed(KEPT_MAX)
        self._read: Believed[str, Identity] = Believed(KEPT_MAX)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Signs with `service_secret`. Raises ValueError where that is not set."""
        secret = settings.service_secret.get_secret_value()
        if not secret:
            raise ValueError(
                "RAGMESH_AUTH is required, and RAGMESH_SERVICE_SECRET is not set: give every process of the mesh "
                f"the same random secret of {SECRET_MIN_CHARS} characters at least (`openssl rand -hex 32`)"
            )
        return cls(secret, settings.service_secret_also.get_secret_value())

    def present(self, identity: Identity) -> tuple[str, str]:
        """Metadata for a call on behalf of a caller."""
        return SERVICE_TOKEN_KEY, self.token(identity)

    def token(self, identity: Identity) -> str:
        """A token that tells of a caller; one that is fresh is used again."""
        if token := self._made.get(identity):
            return token
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": MESH,
            "aud": MESH,
            "sub": identity.subject,
            "tenant": identity.tenant,
            "scope": " ".join(sorted(identity.scopes)),
            "iat": now,
            "exp": now + LIFE_S,
        }
        token = jwt.encode(claims, self._secret, ALGORITHM)
        self._made.keep(identity, token, FRESH_S)
        return token

    def identity(self, token: str) -> Identity:
        """The caller that a token tells of. Raises Unauthenticated."""
        if identity := self._read.get(token):
            return identity
        claims = self._claims(token)
        try:
            scopes = frozenset(map(Scope, claims["scope"].split()))
            identity = Identity(str(claims["tenant"]), scopes, claims["sub"])
        except (AttributeError, ValueError):
            raise _refused("it does not say for whom the call is") from None
        self._read.keep(token, identity, claims["exp"] + CLOCKS_S - time.time())
        return identity

    def _claims(self, token: str) -> dict[str, Any]:
        reason = ""
        for secret in self._believed_secrets:
            try:
                return jwt.decode(
                    token,
                    secret,
                    [ALGORITHM],
                    audience=MESH,
                    issuer=MESH,
                    leeway=CLOCKS_S,
                    options={"require": CLAIMS},
                )
            except jwt.PyJWTError as error:
                reason = str(error)
        raise _refused(reason)


def _refused(reason: str) -> Unauthenticated:
    return Unauthenticated(
        f"the service token is not believed ({reason}): parts of the mesh share one RAGMESH_SERVICE_SECRET, "
        "and everybody else presents an API key"
    )
