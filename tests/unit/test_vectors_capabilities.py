"""What a Milvus can do follows from its version."""

import pytest

from ragmesh.storage.vectors.capabilities import Capabilities


@pytest.mark.parametrize("version", ["v2.3.5-lite", "2.4.9", "v2.0.0"])
def test_an_older_server_has_no_bm25_and_says_what_that_means(version: str):
    server = Capabilities.of(version)

    assert not server.bm25
    assert server.detail == f"{version}; no BM25: hybrid and sparse search are served dense"


@pytest.mark.parametrize("version", ["v2.5.0", "2.10.1", "milvus_lite-3.2.2", "master-20261101-abcdef", ""])
def test_a_later_one_has_all_that_is_needed(version: str):
    assert Capabilities.of(version) == Capabilities(version, bm25=True, upserts=True)
    assert Capabilities.of(version).detail == version
