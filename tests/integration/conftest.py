"""Real servers, one of each for all tests."""

from tests.milvus_server import milvus_lite
from tests.triton_server import triton

__all__ = ["milvus_lite", "triton"]
