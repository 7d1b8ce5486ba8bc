import pytest

from tests.edge import an_edge


@pytest.fixture
async def edge():
    """The edge before scripted services."""
    async with an_edge() as running:
        yield running
