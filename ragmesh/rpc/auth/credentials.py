"""Credentials from outside, an API key or a token of the issuer, and whom they name."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol, Self

from ragmesh import v1
from ragmesh.access import KEY_PREFIX, Identity
from ragmesh.errors import ResourceExhausted, Unauthenticated, Unavailable
from ragmesh.rpc.auth import scopes
from ragmesh.rpc.auth.believed import Believed
from ragmesh.rpc.auth.oidc import Issuer
from ragmesh.rpc.channels import connect
from ragmesh.rpc.context import bound, outgoing
from ragmesh.rpc.errors import translated
from ragmesh.settings import Settings

BELIEVED_MAX = 10_000
CREDENTIAL_MAX_CHARS = 8192
BEARER = "bearer"
HOW = "send `Authorization: Bearer KEY` with an API key (`ragmesh keys create` makes one) or a token of your issuer"

CheckKey = Callable[[str], Awaitable[Identity]]


class Tokens(Protocol):
    """Reads the tokens of an issuer."""

    async def identity(self, token: str) -> tuple[Identity, float]:
        """Whom a token names, and until when in seconds since the epoch. Raises Unauthenticated, Unavailable."""
        ...


class Credentials:
    """Tells whom a credential names. Each is checked once in `cache_s`, however many calls come with it."""

    def __init__(self, check_key: CheckKey, tokens: Tokens | None, cache_s: float) -> None:
        """`check_key` raises Unauthenticated or Unavailable; without `tokens` only keys are taken."""
        self._check_key = check_key
        self._tokens = tokens
        self._cache_s = cache_s
        self._checks: Believed[bytes, asyncio.Task[Identity | str]] = Believed(BELIEVED_MAX)

    @classmethod
    @asynccontextmanager
    async def of(cls, settings: Settings, check_key: CheckKey | None = None) -> AsyncIterator[Self]:
        """Those that the settings allow. Keys are checked by the admin service, unless another way is given."""
        async with _tokens(settings) as tokens, _checking(settings, check_key) as check:
            yield cls(check, tokens, settings.auth_cache_s)

    async def identity(self, credential: str) -> Identity:
        """Whom it names. Raises Unauthenticated, and Unavailable where that can't be found out now."""
        if not credential:
            raise Unauthenticated(f"no credential: {HOW}")
        if len(credential) > CREDENTIAL_MAX_CHARS or not credential.isascii():
            raise Unauthenticated(f"that is neither an API key nor a token: {HOW}")
        asked = hashlib.sha256(credential.encode()).digest()
        check = self._checks.get(asked)
        if check is None or check.cancelled():
            check = asyncio.create_task(self._check(credential, asked))
            check.add_done_callback(_heard)
            self._checks.keep(asked, check, self._cache_s)
        # Others may wait for the same check: it goes on when one of them leaves.
        found = await asyncio.shield(check)
        if isinstance(found, str):
            raise Unauthenticated(found)
        return found

    async def _check(self, credential: str, asked: bytes) -> Identity | str:
        """Whom it names; or why nobody, which is believed too.

        That is a text: an exception that is kept would keep the frames of its callers, and so their requests.
        """
        try:
            if credential.startswith(KEY_PREFIX):
                return await self._check_key(credential)
            return await self._read_token(credential, asked)
        except Unauthenticated as refused:
            return refused.message
        except BaseException:
            self._checks.forget(asked)
            raise

    async def _read_token(self, token: str, asked: bytes) -> Identity:
        if self._tokens is None:
            raise Unauthenticated(f"that is no API key, and this mesh takes no tokens of an issuer: {HOW}")
        identity, until = await self._tokens.identity(token)
        self._checks.shorten(asked, until - time.time())
        return identity


def _heard(check: asyncio.Task[Identity | str]) -> None:
    """Whoever asked may have left: what became of the check is nobody's fault then."""
    if not check.cancelled():
        check.exception()


def bearer(authorization: str) -> str:
    """The credential in an Authorization header; empty for none. Raises Unauthenticated for another scheme."""
    if not authorization:
        return ""
    scheme, _, credential = authorization.partition(" ")
    if scheme.lower() != BEARER:
        raise Unauthenticated(f"the Authorization header has another scheme than Bearer: {HOW}")
    return credential.strip()


@asynccontextmanager
async def _tokens(settings: Settings) -> AsyncIterator[Issuer | None]:
    if not settings.oidc_issuer:
        yield None
        return
    async with Issuer.of(settings) as issuer:
        yield issuer


@asynccontextmanager
async def _checking(settings: Settings, check_key: CheckKey | None) -> AsyncIterator[CheckKey]:
    if check_key:
        yield check_key
        return
    async with connect(settings, "admin") as channel:
        yield asking(v1.AccessServiceStub(channel), settings.call_timeout_s)


def asking(access: v1.AccessServiceStub, timeout_s: float) -> CheckKey:
    """Checks keys by asking the admin service."""

    async def check(key: str) -> Identity:
        try:
            with bound(), translated():
                found = await access.authenticate(v1.AuthenticateRequest(key=key), **outgoing(timeout_s))
        except ResourceExhausted as busy:  # it is not the caller who asked for too much
            raise Unavailable("keys can't be checked now: try again", retry_after_s=busy.retry_after_s) from None
        return Identity(
            tenant=found.tenant,
            scopes=scopes.from_messages(found.scopes),
            subject=found.subject,
            requests_per_minute=found.requests_per_minute,
            tokens_per_minute=found.tokens_per_minute,
        )

    return check
