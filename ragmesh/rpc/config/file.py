"""Dynamic settings in a file of the data folder: enough for the processes of one machine."""

import asyncio
import fcntl
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog
from pydantic import TypeAdapter, ValidationError

from ragmesh.errors import Aborted, Unavailable
from ragmesh.rpc.config.port import Snapshot

LOOK_EVERY_S = 0.5
_SNAPSHOTS = TypeAdapter(Snapshot)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FileConfig:
    """A JSON file that is replaced as a whole."""

    path: Path

    async def read(self) -> Snapshot:
        return await asyncio.to_thread(self._read)

    async def write(self, name: str, value: str | None, *, expected_revision: int | None = None) -> None:
        await asyncio.to_thread(self._write, name, value, expected_revision)

    async def snapshots(self) -> AsyncGenerator[Snapshot, None]:
        seen = None
        while True:
            written = await asyncio.to_thread(self._written)
            if written != seen:
                seen = written
                try:
                    yield await self.read()
                except Unavailable as error:
                    log.warning("config.unreadable", reason=error.message)
            await asyncio.sleep(LOOK_EVERY_S)

    def _written(self) -> int:
        try:
            return self.path.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _read(self) -> Snapshot:
        try:
            return _SNAPSHOTS.validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return Snapshot()
        except (OSError, ValidationError) as error:
            raise Unavailable(f"{self.path} can't be read: {error}") from error

    def _write(self, name: str, value: str | None, expected_revision: int | None) -> None:
        with self._locked():
            present = self._read()
            if expected_revision not in (None, present.revision):
                raise Aborted(f"the settings are at revision {present.revision}: read them again, then change them")
            values = {key: text for key, text in present.values.items() if key != name}
            if value is not None:
                values[name] = value
            scratch = self.path.with_suffix(".tmp")
            scratch.write_text(
                json.dumps(asdict(Snapshot(present.revision + 1, values)), indent=2), encoding="utf-8"
            )
            scratch.replace(self.path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
