"""API keys: how they are made, checked, listed and ended.

A key reads `rm_ID_SECRET`. The id is public and sorts by time; the secret has 256 random bits. Only a salted
SHA-256 of the secret is kept. A slow hash (bcrypt, Argon2) protects what people choose, for that can be guessed;
2**256 random values can't be tried at any speed, and with a fast hash nobody wears the service out by asking.
"""

import hashlib
import hmac
import re
import secrets
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

import uuid_utils

from ragmesh.access import DEFAULT_TENANT, KEY_PREFIX, TENANT, Identity, Scope
from ragmesh.errors import InvalidArgument, NotFound, Unauthenticated
from svc_admin.model import Key, NewKey
from svc_admin.ports import KeyStore

SECRET_BYTES = 32
SALT_BYTES = 16
NAME_MAX_CHARS = 128
ID = re.compile(r"[0-9a-f]{32}")
KEY = re.compile(KEY_PREFIX + r"([0-9a-f]{32})_([0-9a-f]{64})")
DEFAULT_SCOPES = frozenset({Scope.READ, Scope.WRITE})
PAGE_DEFAULT = 100
PAGE_MAX = 1000
PER_MINUTE_MAX = 2**32 - 1


class KeyRing:
    """All keys of the mesh."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store

    async def create(self, wanted: NewKey) -> tuple[Key, str]:
        """A new key, and its text: this is the one moment at which that is known. Raises InvalidArgument."""
        now = datetime.now(UTC)
        _check(wanted, now)
        secret, salt = secrets.token_hex(SECRET_BYTES), secrets.token_bytes(SALT_BYTES)
        key = Key(
            id=uuid_utils.uuid7().hex,
            tenant=wanted.tenant or DEFAULT_TENANT,
            name=wanted.name.strip(),
            scopes=wanted.scopes or DEFAULT_SCOPES,
            salt=salt,
            digest=digest_of(secret, salt),
            requests_per_minute=wanted.requests_per_minute,
            tokens_per_minute=wanted.tokens_per_minute,
            created_at=now,
            expires_at=wanted.expires_at,
        )
        await self._store.add(key)
        return key, f"{KEY_PREFIX}{key.id}_{secret}"

    async def page(self, tenant: str, *, size: int, token: str) -> tuple[Sequence[Key], str]:
        """Keys, newest first, of one tenant or (empty) of all, and the token for what follows."""
        if not 0 <= size <= PAGE_MAX:
            raise InvalidArgument(
                f"page_size is {size}: use 1 to {PAGE_MAX}, or 0 for {PAGE_DEFAULT}", field="page_size"
            )
        if token and not ID.fullmatch(token):
            raise InvalidArgument(
                "page_token is not one of this list: pass next_page_token of the page before", field="page_token"
            )
        limit = size or PAGE_DEFAULT
        found = await self._store.page(tenant, before=token, limit=limit + 1)
        return found[:limit], found[limit - 1].id if len(found) > limit else ""

    async def revoke(self, key_id: str) -> Key:
        """Ends a key for good; ending it again changes nothing. Raises NotFound."""
        key = await self._store.revoke(key_id, datetime.now(UTC)) if ID.fullmatch(key_id) else None
        if key is None:
            raise NotFound(f"there is no key {key_id[:64]!r}: `ragmesh keys list` shows those there are")
        return key

    async def authenticate(self, text: str) -> Identity:
        """Whom a key names. Raises Unauthenticated: who holds the right secret is told what became of the key."""
        parts = KEY.fullmatch(text)
        key = await self._store.get(parts[1]) if parts else None
        if parts is None or key is None or not hmac.compare_digest(digest_of(parts[2], key.salt), key.digest):
            raise Unauthenticated("the API key is not known: check that it is whole, or ask for a new one")
        if key.revoked_at:
            raise Unauthenticated("the API key was revoked: ask for a new one")
        if key.expires_at and key.expires_at <= datetime.now(UTC):
            raise Unauthenticated(f"the API key ended on {key.expires_at:%Y-%m-%d %H:%M} UTC: ask for a new one")
        return Identity(key.tenant, key.scopes, key.id, key.requests_per_minute, key.tokens_per_minute)


def digest_of(secret: str, salt: bytes) -> bytes:
    """What is kept of a secret."""
    return hmac.digest(salt, secret.encode(), hashlib.sha256)


def _check(wanted: NewKey, now: datetime) -> None:
    if wanted.tenant and not TENANT.fullmatch(wanted.tenant):
        raise InvalidArgument(
            f"{wanted.tenant[:64]!r} is no tenant: use 1 to 63 lower-case letters, digits and dashes",
            field="tenant",
        )
    if len(wanted.name) > NAME_MAX_CHARS or any(unicodedata.category(char) in {"Cc", "Cs"} for char in wanted.name):
        raise InvalidArgument(
            f"the name is too long or has control characters: use at most {NAME_MAX_CHARS}", field="name"
        )
    if wanted.expires_at and wanted.expires_at <= now:
        raise InvalidArgument("expires_at is in the past: such a key would open nothing", field="expires_at")
    for field in ("requests_per_minute", "tokens_per_minute"):
        if not 0 <= getattr(wanted, field) <= PER_MINUTE_MAX:
            raise InvalidArgument(f"{field} must be 0 to {PER_MINUTE_MAX}", field=field)
