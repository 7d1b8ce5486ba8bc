import pytest

from tests.mesh import running_mesh


@pytest.fixture(scope="session")
async def mesh(tmp_path_factory):
    """One mesh for all tests of this folder; each works in a collection of its own."""
    async with running_mesh(tmp_path_factory.mktemp("mesh")) as running:
        yield running


@pytest.fixture
async def collection(mesh, request):
    """An empty collection, named after the test."""
    name = request.node.name.split("[")[0].replace("_", "-").removeprefix("test-")[:40].strip("-")
    status, body = await mesh.call("POST", "/v1/collections", json={"name": name})
    assert status == 201, body
    yield name
    await mesh.call("DELETE", f"/v1/collections/{name}")
