"""Retrieval quality through the edge of a real mesh, with either embedder: on half of XQuAD in English and Chinese.

Where there is no XQuAD (RAGMESH_XQUAD names its folder), passages made from a seed stand in for it.

The figures hold on this code and these weights: texts are embedded one by one, so vectors do not depend on load.
The floors leave room for CPUs whose 8-bit products round otherwise.
"""

import os
from pathlib import Path

import pytest

from bench import quality
from bench.corpus import synthetic, xquad
from bench.edge import Edge
from ragmesh.settings import Settings
from ragmesh.up.state import of_running_mesh
from tests.mesh import running_mesh
from tests.triton_server import CACHE

XQUAD = Path(os.environ.get("RAGMESH_XQUAD", Path(__file__).parents[2] / "../shared/data/xquad"))
FLOOR = {
    ("multilingual", "en"): 0.970,
    ("multilingual", "zh"): 0.963,
    ("english", "en"): 0.960,
    ("english", "zh"): 0.935,
    ("multilingual", "made-up"): 0.950,
    ("english", "made-up"): 0.950,
}
LANGUAGES = ("en", "zh") if XQUAD.is_dir() else ("made-up",)
TOLERATED = 0.005  # MRR@10 by which hybrid may be worse than the better of its halves

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def corpora():
    return {name: synthetic() if name == "made-up" else xquad(XQUAD, name) for name in LANGUAGES}


@pytest.fixture(scope="module", params=["multilingual", "english"])
async def measured(request, corpora, tmp_path_factory):
    """MRR@10 by language and mode, with one embedder."""
    models = str(CACHE / "models" / request.param)
    folder = tmp_path_factory.mktemp(request.param)
    async with (
        running_mesh(folder, "--embedder", request.param, RAGMESH_MODELS_DIR=models) as mesh,
        Edge.of(of_running_mesh(Settings(data_dir=mesh.data_dir))) as edge,
    ):
        found = {}
        for language, corpus in corpora.items():
            await quality.load(edge, f"xquad-{language}", corpus)
            for mode in quality.MODES:
                found[language, mode] = await quality.quality_through(
                    edge, f"xquad-{language}", corpus.questions, mode
                )
    return request.param, found


@pytest.mark.parametrize("language", LANGUAGES)
async def test_hybrid_search_finds_the_passage(measured, language):
    embedder, found = measured

    assert found[language, "hybrid"].mrr_10 >= FLOOR[embedder, language], str(found[language, "hybrid"])


@pytest.mark.parametrize("language", LANGUAGES)
async def test_hybrid_is_never_dragged_down_by_its_weaker_half(measured, language):
    _, found = measured
    better = max(found[language, "dense"].mrr_10, found[language, "sparse"].mrr_10)

    assert found[language, "hybrid"].mrr_10 >= better - TOLERATED
