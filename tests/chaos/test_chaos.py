"""The short run: a fault of each kind under a steady load, and a ledger that holds the mesh to its word."""

import pytest

from chaos.faults import few
from chaos.load import Rates
from chaos.mesh import running
from chaos.run import Run
from tests.triton_server import CACHE


@pytest.fixture
async def mesh(tmp_path):
    environment = {"RAGMESH_MODELS_DIR": str(CACHE / "repository"), "RAGMESH_LEASE_S": "5"}
    async with running(tmp_path / "data", **environment) as mesh:
        yield mesh


@pytest.mark.timeout(240)
async def test_nothing_acknowledged_is_lost_and_nothing_deleted_or_foreign_is_shown_whatever_fails(mesh):
    outcome = await Run(mesh, Rates(searches=30, uploads=3, deletes=0.8, reprocesses=0.5)).play(few())

    assert outcome.violations == []
    assert outcome.failed == {}, "a call that nobody could try again"
    assert [episode.fault for episode in outcome.episodes if episode.recovery_s is None] == []
    assert outcome.documents > 50
    assert outcome.deletes > 5
    assert outcome.reprocesses > 3
    assert outcome.searches > 500
