"""What the SQL of API keys promises, on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from ragmesh.access import Scope
from ragmesh.errors import Unauthenticated
from ragmesh.storage.database import connect, migrate
from svc_admin.key_store import SqlKeys
from svc_admin.keys import KeyRing
from svc_admin.migrations import MIGRATIONS
from svc_admin.model import NewKey
from svc_document.migrations import MIGRATIONS as DOCUMENT_MIGRATIONS


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[SqlKeys]:
    """Beside the document service's tables, whose migrations begin at the same moment."""
    async with connect(database_url) as opened, connect(database_url) as another:
        await asyncio.gather(
            *(migrate(one, MIGRATIONS) for one in (opened, another)), migrate(another, DOCUMENT_MIGRATIONS)
        )
        yield SqlKeys(opened)


def wanted(tenant: str = "acme", **more: object) -> NewKey:
    return NewKey(tenant, "for tests, 名", frozenset({Scope.READ, Scope.ADMIN}), **more)


async def test_a_key_is_read_as_it_was_kept(store: SqlKeys):
    until = datetime.now(UTC) + timedelta(days=3)
    key, text = await KeyRing(store).create(wanted(expires_at=until, requests_per_minute=2**32 - 1))

    assert await store.get(key.id) == key
    assert (await KeyRing(store).authenticate(text)).requests_per_minute == 2**32 - 1
    assert await store.get("0" * 32) is None


async def test_pages_have_every_key_once_newest_first_and_one_tenant_s_are_its_own(store: SqlKeys):
    ring = KeyRing(store)
    made = [(await ring.create(wanted("acme" if number % 2 else "other")))[0] for number in range(7)]

    seen, token = [], ""
    while True:
        keys, token = await ring.page("", size=3, token=token)
        seen += keys
        if not token:
            break

    assert seen == made[::-1]
    assert {key.tenant for key in (await ring.page("acme", size=0, token=""))[0]} == {"acme"}
    assert await ring.page("nobody", size=0, token="") == ([], "")


async def test_a_revoked_key_opens_nothing_and_keeps_the_time_of_its_end(store: SqlKeys):
    ring = KeyRing(store)
    key, text = await ring.create(wanted())

    ended = await asyncio.gather(*(ring.revoke(key.id) for _ in range(5)))

    assert len({one.revoked_at for one in ended}) == 1
    assert ended[0].revoked_at
    with pytest.raises(Unauthenticated, match="revoked"):
        await ring.authenticate(text)
