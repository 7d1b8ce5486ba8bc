"""`python -m bench.no_lanes worker`: the worker without lanes before Triton: what they are measured against.

Its passages go to the model all at once, and let nobody go first.
"""

import sys

from ragmesh.inference import embed
from ragmesh.inference.lane import at_ease
from ragmesh.rpc.server import run
from ragmesh.storage.vectors import spaces
from ragmesh.storage.vectors.spaces import Spaces
from svc_document.__main__ import PROCESSES


class Hasty(Spaces):
    """Spaces whose passages yield to nobody."""

    def __init__(self, settings: spaces.Settings, *_: object) -> None:
        super().__init__(settings, at_ease)


if __name__ == "__main__":
    embed.PASSAGES_IN_FLIGHT = embed.QUESTIONS_IN_FLIGHT
    spaces.Spaces = Hasty
    sys.modules["svc_document.__main__"].Spaces = Hasty  # pyright: ignore[reportAttributeAccessIssue] it has the name
    run(*PROCESSES[sys.argv[1]])
