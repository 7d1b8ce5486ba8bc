"""One server of each kind for a whole session. Tests keep apart by database, topic, key prefix or bucket."""

from collections.abc import AsyncIterator

import pytest

from tests.servers import Server, running


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
