"""Dynamic settings in Consul's key-value store: `ragmesh/config/log_level` and so on, to be seen and edited."""

import asyncio
import base64
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
import uuid_utils

from ragmesh.errors import Aborted, Unavailable
from ragmesh.rpc.config.port import Snapshot
from ragmesh.rpc.discovery.consul import FAULTS, RETRY_S, TIMEOUT_S, WAIT_S, ConsulDiscovery

log = structlog.get_logger()

FOLDER = "ragmesh/config/"
REVISION = f"{FOLDER}.revision"  # gets a new value with every change through `write`: two can't cross


@dataclass(frozen=True, slots=True)
class ConsulConfig:
    """The keys of one folder. A snapshot's revision is Consul's index of it."""

    consul: ConsulDiscovery

    async def read(self) -> Snapshot:
        async with self.consul.client(timeout_s=TIMEOUT_S) as client:
            try:
                index, entries = await client.kv.get(FOLDER, recurse=True)
            except FAULTS as error:
                raise _away(error) from error
        return _snapshot(index, entries or ())

    async def write(self, name: str, value: str | None, *, expected_revision: int | None = None) -> None:
        async with self.consul.client(timeout_s=TIMEOUT_S) as client:
            try:
                index, entries = await client.kv.get(FOLDER, recurse=True)
                present = _snapshot(index, entries or ())
                if expected_revision not in (None, present.revision):
                    raise _conflict(present.revision)
                await client.txn.put(_change(entries or (), name, value))
            except FAULTS as error:
                if "409" in str(error) or "index is stale" in str(error):
                    raise _conflict(None) from error
                raise _away(error) from error

    async def snapshots(self) -> AsyncGenerator[Snapshot, None]:
        index, away = None, False
        async with self.consul.client(timeout_s=WAIT_S * 2) as client:
            while True:
                try:
                    index, entries = await client.kv.get(FOLDER, index=index, wait=f"{WAIT_S}s", recurse=True)
                except FAULTS as error:
                    if not away:
                        log.warning("consul.away", watching=FOLDER, error=repr(error))
                    index, away = None, True
                    await asyncio.sleep(RETRY_S)
                    continue
                away = False
                yield _snapshot(index, entries or ())


def _snapshot(index: str, entries: Sequence[Any]) -> Snapshot:
    return Snapshot(
        revision=int(index) if entries else 0,
        values={
            entry["Key"].removeprefix(FOLDER): (entry["Value"] or b"").decode(errors="replace")
            for entry in entries
            if entry["Key"] not in (FOLDER, REVISION)
        },
    )


def _change(entries: Sequence[Any], name: str, value: str | None) -> list[Any]:
    """One transaction: the change, and that nothing which was read has changed since."""
    indexes = {entry["Key"]: entry["ModifyIndex"] for entry in entries}
    key = FOLDER + name
    operations = [
        {"Verb": "check-index", "Key": other, "Index": index}
        for other, index in indexes.items()
        if other not in (REVISION, key)
    ]
    operations.append(_compare_and_set(REVISION, indexes, str(uuid_utils.uuid7())))
    operations.append({"Verb": "delete", "Key": key} if value is None else _compare_and_set(key, indexes, value))
    return [{"KV": operation} for operation in operations]


def _compare_and_set(key: str, indexes: Mapping[str, int], value: str) -> dict[str, Any]:
    encoded = base64.b64encode(value.encode()).decode()
    return {"Verb": "cas", "Key": key, "Index": indexes.get(key, 0), "Value": encoded}


def _conflict(revision: int | None) -> Aborted:
    where = "" if revision is None else f" (they are at revision {revision})"
    return Aborted(f"the settings were changed meanwhile{where}: read them again, then change them")


def _away(error: BaseException) -> Unavailable:
    return Unavailable(f"Consul can't be reached: {error!r}", retry_after_s=1.0)
