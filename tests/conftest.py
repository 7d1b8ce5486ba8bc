"""The loop of all tests, and one server of each kind for a whole session.

Tests keep apart by database, topic, key prefix or bucket.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import uvloop

from tests.servers import Server, running


def pytest_asyncio_loop_factories():
    """All tests run on the loop on which services and clients do: its transports are not asyncio's."""
    return {"uvloop": uvloop.new_event_loop}


def _server(name: str):
    @pytest.fixture(scope="session", name=name)
    async def start(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
        async with running(name, tmp_path_factory.mktemp("servers") / name) as server:
            yield server

    return start


consul = _server("consul")
kafka = _server("kafka")
postgres = _server("postgres")
redis = _server("redis")
s3 = _server("s3")
milvus = _server("milvus")


@pytest.fixture(params=["sqlite", "postgres"])
def postgres_if_used(request: pytest.FixtureRequest) -> Server | None:
    return request.getfixturevalue("postgres") if request.param == "postgres" else None


@pytest.fixture
async def database_url(postgres_if_used: Server | None, tmp_path: Path) -> str:
    """An empty database of the test's own: once SQLite, once PostgreSQL."""
    if postgres_if_used is None:
        return f"sqlite+aiosqlite:///{tmp_path}/test.db"
    return await new_database(postgres_if_used)


async def new_database(server: Server) -> str:
    """The URL of a new database."""
    name = f"test_{uuid4().hex}"
    connection = await asyncpg.connect(host=server.host, port=server.port, user="ragmesh", database="ragmesh")
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return server.url.removesuffix("ragmesh") + name
