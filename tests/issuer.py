"""An OpenID Connect issuer on loopback: real keys, real HTTP, real JWTs; it is a fake only in that it is ours.

async with an_issuer() as issuer:
    token = issuer.token(tenant="acme", scope="read")
"""

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as ec_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as rsa_key
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "ragmesh"


@dataclass
class Issuer:
    """It answers, and counts how often it was asked for its keys."""

    url: str = ""
    keys: dict[str, Any] = field(default_factory=dict)
    asked: int = 0
    status: int = 200

    def rotate(self, key_id: str, *, elliptic: bool = False) -> None:
        """Signs with a new key from now on; the old ones are gone."""
        self.keys = {key_id: ec_key(SECP256R1()) if elliptic else rsa_key(65537, 2048)}

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        usual = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ann",
            "exp": now + 300,
            "iat": now,
            "tenant": "acme",
            "scope": "openid read write",
        }
        return {name: value for name, value in (usual | changes).items() if value is not None}

    def token(self, *, kid: str | None = None, key: Any = None, alg: str | None = None, **claims: Any) -> str:
        """A good token; each argument spoils it. A claim that is None is left out."""
        key_id, own = next(iter(self.keys.items()))
        signing = key or own
        algorithm = alg or ("RS256" if isinstance(signing, RSAPrivateKey) else "ES256")
        return jwt.encode(self.claims(**claims), signing, algorithm, headers={"kid": kid or key_id})

    def confused_token(self) -> str:
        """HS256 with the public key as its secret. PyJWT refuses to sign so; an attacker does not ask it."""
        head = {"alg": "HS256", "typ": "JWT", "kid": next(iter(self.keys))}
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (head, self.claims()))
        return f"{signed}.{_encoded(hmac.digest(self.public_pem(), signed.encode(), 'sha256'))}"

    def public_pem(self) -> bytes:
        """What everybody can know of the signing key."""
        key = next(iter(self.keys.values())).public_key()
        return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def jwks(self) -> dict[str, Any]:
        described = []
        for key_id, key in self.keys.items():
            is_rsa = isinstance(key, RSAPrivateKey)
            kind, algorithm = (RSAAlgorithm, "RS256") if is_rsa else (ECAlgorithm, "ES256")
            public = kind.to_jwk(key.public_key(), as_dict=True)
            described.append({**public, "kid": key_id, "use": "sig", "alg": algorithm})
        return {"keys": [*described, {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}, {"kty": "new kind"}, "?"]}


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@asynccontextmanager
async def an_issuer() -> AsyncIterator[Issuer]:
    """Serves discovery and keys on a free port."""
    issuer = Issuer()
    issuer.rotate("first")

    async def discovery(_: web.Request) -> web.Response:
        return web.json_response({"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}, status=issuer.status)

    async def keys(_: web.Request) -> web.Response:
        issuer.asked += 1
        return web.json_response(issuer.jwks(), status=issuer.status)

    app = web.Application()
    app.add_routes([web.get("/.well-known/openid-configuration", discovery), web.get("/keys", keys)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield issuer
    finally:
        await runner.cleanup()
