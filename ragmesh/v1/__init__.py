"""The contract: messages, stubs and servicers of package `ragmesh.v1`, generated from `proto/` by `make proto`."""

from ragmesh.v1._generated.ragmesh.v1 import *  # noqa: F403
