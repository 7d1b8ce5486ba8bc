"""Real servers, one of each for all tests."""

from tests.milvus_server import milvus

__all__ = ["milvus"]
