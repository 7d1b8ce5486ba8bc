"""The project's own scripts start every real server, which survives a kill with its data."""

import asyncpg
import pytest

from tests.servers import URLS, running


@pytest.mark.parametrize("name", URLS)
async def test_a_server_starts_and_answers_again_after_a_kill(name, tmp_path):
    async with running(name, tmp_path / name) as server:
        await server.kill()
        await server.start()

        assert server.process.returncode is None


async def test_postgres_keeps_what_was_committed_before_a_kill(tmp_path):
    async with running("postgres", tmp_path / "postgres") as server:
        where = {"host": server.host, "port": server.port, "user": "ragmesh", "database": "ragmesh"}
        connection = await asyncpg.connect(**where)
        await connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        await connection.close()

        await server.kill()
        await server.start()

        connection = await asyncpg.connect(**where)
        assert await connection.fetchval("SELECT number FROM kept") == 7
        await connection.close()
