"""Dynamic settings in Consul's key-value store: `ragmesh/config/log_level` and so on, to be seen and edited."""

import base64
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import uuid_utils

from ragmesh.errors import Aborted, Unavailable
from ragmesh.rpc.config.port import Snapshot
from ragmesh.rpc.discovery.consul import FAULTS, TIMEOUT_S, ConsulDiscovery

FOLDER = "ragmesh/config/"
REVISION = f"{FOLDER}.revision"  # gets a new value with every change through `write`: two can't cross


@dataclass(frozen=True, slots=True)
class ConsulConfig:
    """The keys of one folder. A snapshot's revision is Consul's index of it."""

    consul: ConsulDiscovery

    async def read(self) -> Snapshot:
        async with self.consul.client(timeout_s=TIMEOUT_S) as client:
            try:
                index, entries = await _entries(client)
            except FAULTS as error:
                raise _away(error) from error
        return _snapshot(index, entries or ())

    async def write(self, name: str, value: str | None, *, expected_revision: int | None = None) -> None:
        async with self.consul.client(timeout_s=TIMEOUT_S) as client:
            try:
                index, entries = await _entries(client)
                present = _snapshot(index, entries or ())
                if expected_revision not in (None, present.revision):
                    raise _conflict(present.revision)
                await client.txn.put(_change(entries or (), name, value))
            except FAULTS as error:
                if "409" in str(error) or "index is stale" in str(error):
                    raise _conflict(None) from error
                raise _away(error) from error

    async def snapshots(self) -> AsyncGenerator[Snapshot, None]:
        async with aclosing(self.consul.watched(FOLDER, _entries)) as answers:
            async for index, entries in answers:
                yield _snapshot(index, entries or ())


def _entries(client: Any, **blocking: Any) -> Awaitable[Any]:
    """Consul's index, and the keys of the folder; None where there are none."""
    return client.kv.get(FOLDER, recurse=True, **blocking)


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
