"""JWT bearer tokens of an OpenID Connect issuer.

Only asymmetric signatures are believed, made by a key of the issuer's own set (JWKS). The set is fetched when it is
needed, kept, and fetched anew when it is old or a token names a key that is not in it; the latter at most once in
ten seconds, whoever sends what.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self, cast
from urllib.parse import urlsplit

import aiohttp
import jwt
import structlog

from ragmesh.access import TENANT, Identity, Scope
from ragmesh.errors import Unauthenticated, Unavailable
from ragmesh.rpc.auth.exposure import is_loopback
from ragmesh.settings import Settings

log = structlog.get_logger()

ASYMMETRIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
CLAIMS = ["iss", "aud", "exp", "sub"]
CLOCKS_S = 30  # by which our clock and the issuer's may differ
FETCH_S = 5.0
DOCUMENT_MAX_BYTES = 512 * 1024
FRESH_S = 300.0  # after which the keys are asked for again
STALE_S = 3600.0  # how long they are believed when the issuer does not answer
AGAIN_S = 10.0  # the least time between two fetches
SUBJECT_MAX_CHARS = 255

Keys = Mapping[str, jwt.PyJWK]  # by key id


class Issuer:
    """An issuer, and its keys as they were last seen."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        self._issuer = _safe(settings.oidc_issuer, "oidc_issuer")
        self._audience = settings.oidc_audience
        self._jwks_url = settings.oidc_jwks_url and _safe(settings.oidc_jwks_url, "oidc_jwks_url")
        self._tenant_claim = settings.oidc_tenant_claim
        self._scope_claim = settings.oidc_scope_claim
        self._session = session
        self._keys: Keys = {}
        self._fetched = self._tried = float("-inf")  # monotonic
        self._fetching = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def of(cls, settings: Settings) -> AsyncIterator[Self]:
        """The one that the settings name. Raises ValueError where its address is not safe."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=FETCH_S)) as session:
            yield cls(settings, session)

    async def identity(self, token: str) -> tuple[Identity, float]:
        """Whom a token names, and until when in seconds since the epoch. Raises Unauthenticated, Unavailable."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise _refused("it is neither an API key nor a JWT") from None
        if header.get("alg") not in ASYMMETRIC:
            raise _refused(f"tokens must be signed by one of {', '.join(ASYMMETRIC)}")
        key = await self._key(header.get("kid"))
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                ASYMMETRIC,
                audience=self._audience,
                issuer=self._issuer,
                leeway=CLOCKS_S,
                options={"require": CLAIMS},
            )
        except jwt.PyJWTError as error:
            raise _refused(str(error)) from None
        return self._named(claims), float(claims["exp"]) + CLOCKS_S

    def _named(self, claims: Mapping[str, Any]) -> Identity:
        tenant, subject = claims.get(self._tenant_claim), claims["sub"]
        if not isinstance(tenant, str) or not TENANT.fullmatch(tenant):
            raise _refused(
                f"its claim {self._tenant_claim!r} names no tenant: 1 to 63 lower-case letters, digits and dashes"
            )
        if not 0 < len(subject) <= SUBJECT_MAX_CHARS or not subject.isprintable():
            raise _refused(f"its claim 'sub' must have 1 to {SUBJECT_MAX_CHARS} printable characters")
        return Identity(tenant, _scopes(claims.get(self._scope_claim)), f"oidc:{subject}")

    async def _key(self, key_id: str | None) -> jwt.PyJWK:
        if not self._fetching.locked() or self._age_s > STALE_S:
            await self._refresh(FRESH_S)
        if (key := self._named_key(key_id)) is None:
            await self._refresh(AGAIN_S)  # the issuer may have changed its keys
            key = self._named_key(key_id)
        if key is None:
            raise _refused("it is signed by a key that is not the issuer's")
        return key

    def _named_key(self, key_id: str | None) -> jwt.PyJWK | None:
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id or "")

    @property
    def _age_s(self) -> float:
        return time.monotonic() - self._fetched

    async def _refresh(self, oldest_s: float) -> None:
        """Fetches the keys if they are older than that, and were not asked for just now."""
        async with self._fetching:
            now = time.monotonic()
            if self._age_s > oldest_s and now - self._tried > AGAIN_S:
                self._tried = now
                try:
                    self._keys, self._fetched = await self._fetch(), now
                except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                    log.warning("oidc.keys_not_fetched", issuer=self._issuer, reason=str(error))
        if self._age_s > STALE_S:
            raise Unavailable(
                "the token can't be checked: its issuer does not give its keys", retry_after_s=AGAIN_S
            )

    async def _fetch(self) -> Keys:
        url = self._jwks_url or await self._discover()
        keys = _signing_keys(await self._get(url))
        log.info("oidc.keys_fetched", issuer=self._issuer, keys=len(keys))
        return keys

    async def _discover(self) -> str:
        found = await self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != self._issuer:
            raise ValueError(f"the discovery document is of another issuer, {str(found.get('issuer'))[:200]!r}")
        return _safe(str(found.get("jwks_uri")), "oidc_jwks_url")

    async def _get(self, url: str) -> dict[str, Any]:
        async with self._session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError(f"{url} answers {response.status}")
            body = b""
            async for piece in response.content.iter_chunked(64 * 1024):
                body += piece
                if len(body) > DOCUMENT_MAX_BYTES:
                    raise ValueError(f"{url} is larger than {DOCUMENT_MAX_BYTES} bytes")
        document = json.loads(body)
        if not isinstance(document, dict):
            raise ValueError(f"{url} is no JSON object")  # noqa: TRY004 of what the issuer says, not of a type of ours
        return cast("dict[str, Any]", document)


def _signing_keys(document: Mapping[str, Any]) -> Keys:
    """The public keys that sign. A set may have others, and kinds that we do not know."""
    keys: dict[str, jwt.PyJWK] = {}
    for entry in document.get("keys") or ():
        if not isinstance(entry, dict):
            continue
        described = cast("dict[str, Any]", entry)
        if described.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK(described)
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        if key.algorithm_name in ASYMMETRIC:
            keys[str(key.key_id or "")] = key
    return keys


def _scopes(claim: object) -> frozenset[Scope]:
    """Those of ours that a claim has, a text or a list."""
    if isinstance(claim, str):
        claim = claim.split()
    names = cast("list[object]", claim) if isinstance(claim, list) else []
    return frozenset(scope for scope in Scope if scope in names)


def _safe(url: str, setting: str) -> str:
    """A URL whose answer nobody on the way can change. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        return url
    raise ValueError(f"RAGMESH_{setting.upper()} is {url!r}: it must be an https:// URL (http:// on loopback only)")


def _refused(reason: str) -> Unauthenticated:
    return Unauthenticated(f"the token is not good: {reason}")
