"""What a Milvus server can do, told by its version: most servers answer a call they don't know with silence.

>>> Capabilities.of("v2.3.5").detail
'v2.3.5; no BM25: hybrid and sparse search are served dense'
"""

import re
from dataclasses import dataclass
from typing import Self

MODERN = (2, 5)  # its first release with full-text search; Milvus Lite's numbers are higher
_RELEASE = re.compile(r"(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """A server's version, and what follows from it."""

    version: str
    bm25: bool
    upserts: bool  # 2.3.5 loses rows that are upserted into a collection with a partition key

    @classmethod
    def of(cls, version: str) -> Self:
        """By the version as the server tells it; one that can't be read is taken for a later one."""
        release = _RELEASE.search(version)
        modern = release is None or (int(release[1]), int(release[2])) >= MODERN
        return cls(version, bm25=modern, upserts=modern)

    @property
    def detail(self) -> str:
        """For an operator."""
        return self.version if self.bm25 else f"{self.version}; no BM25: hybrid and sparse search are served dense"
