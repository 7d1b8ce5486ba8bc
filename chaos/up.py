"""`python -m chaos.up`: the real `ragmesh up`, with a way to cut and slow every connection inside.

Every process is told to meet the others at DETOUR, on their own ports. Whoever started the mesh listens there, and
passes on to LOOPBACK what it lets through. A line `detour NAME PORT` says where for each of them.
"""

import os
import random
from collections.abc import Mapping
from dataclasses import replace

from ragmesh.cli import main, serve
from ragmesh.settings import PREFIX, Settings
from ragmesh.up.plan import Plan, Program, Replicas, plan
from ragmesh.up.servers import LOOPBACK

DETOUR = "127.0.0.2"
SERVERS = ("milvus_uri", "triton_url", "discovery_url", "events_url", "database_url", "cache_url")


def up() -> None:
    """Runs the command, its plan detoured. The same data folder gets the same ports again after a power cut."""
    random.seed(os.environ.get(f"{PREFIX}DATA_DIR"))
    serve.plan = _announced
    main()


def _announced(settings: Settings, replicas: Replicas | None = None) -> Plan:
    planned = plan(settings, replicas)
    for program in planned.programs:
        print("detour", program.name, program.address.rpartition(":")[2], flush=True)  # noqa: T201 to the harness
    return replace(planned, programs=tuple(map(_detoured, planned.programs)))


def _detoured(program: Program) -> Program:
    if program.is_backing:
        return replace(program, environment={**program.environment, "KAFKA_ADVERTISED": DETOUR})
    return replace(program, environment={**_with_detours(program.environment), f"{PREFIX}ADVERTISE": DETOUR})


def _with_detours(environment: Mapping[str, str]) -> dict[str, str]:
    keys = {f"{PREFIX}{name.upper()}" for name in SERVERS}
    return {key: value.replace(LOOPBACK, DETOUR) if key in keys else value for key, value in environment.items()}


if __name__ == "__main__":
    up()
