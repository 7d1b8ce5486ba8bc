from collections.abc import AsyncIterator

import pytest

from ragmesh.storage.database import Database, connect, migrate
from svc_document.migrations import MIGRATIONS


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The document service's database, empty: once SQLite, once PostgreSQL."""
    async with connect(database_url) as opened:
        await migrate(opened, MIGRATIONS)
        yield opened
