"""API keys in SQL."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, Row, String, Table, insert, select, update

from ragmesh.access import Scope
from ragmesh.storage.database import Database, Instant
from svc_admin.model import Key

metadata = MetaData()

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(63), nullable=False),
    Column("name", String(128), nullable=False),
    Column("scopes", String(64), nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("requests_per_minute", BigInteger, nullable=False),
    Column("tokens_per_minute", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Index("api_keys_tenant", "tenant", "id"),
)


class SqlKeys:
    """Implements `svc_admin.ports.KeyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: Key) -> None:
        row = asdict(key) | {"scopes": " ".join(sorted(key.scopes))}
        async with self._database.write() as connection:
            await connection.execute(insert(api_keys), row)

    async def get(self, key_id: str) -> Key | None:
        async with self._database.read() as connection:
            row = (await connection.execute(select(api_keys).where(api_keys.c.id == key_id))).first()
        return _key(row) if row else None

    async def page(self, tenant: str, *, before: str, limit: int) -> Sequence[Key]:
        wanted = select(api_keys).order_by(api_keys.c.id.desc()).limit(limit)
        if tenant:
            wanted = wanted.where(api_keys.c.tenant == tenant)
        if before:
            wanted = wanted.where(api_keys.c.id < before)
        async with self._database.read() as connection:
            return [_key(row) for row in await connection.execute(wanted)]

    async def revoke(self, key_id: str, at: datetime) -> Key | None:
        good = (api_keys.c.id == key_id) & api_keys.c.revoked_at.is_(None)
        async with self._database.write() as connection:
            await connection.execute(update(api_keys).where(good).values(revoked_at=at))
            row = (await connection.execute(select(api_keys).where(api_keys.c.id == key_id))).first()
        return _key(row) if row else None


def _key(row: Row[Any]) -> Key:
    return Key(
        id=row.id,
        tenant=row.tenant,
        name=row.name,
        scopes=frozenset(map(Scope, row.scopes.split())),
        salt=row.salt,
        digest=row.digest,
        requests_per_minute=row.requests_per_minute,
        tokens_per_minute=row.tokens_per_minute,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
