"""What is asked of a store of dynamic settings."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The settings that somebody changed, as they were at one moment."""

    revision: int = 0  # grows with each change; 0 where nothing was ever changed
    values: Mapping[str, str] = field(default_factory=dict[str, str])  # by field of Settings, as text


class ConfigStore(Protocol):
    """Keeps dynamic settings for every process of a mesh."""

    async def read(self) -> Snapshot:
        """They are now. Raises Unavailable."""
        ...

    async def write(self, name: str, value: str | None, *, expected_revision: int | None = None) -> None:
        """Sets one, or takes it back (None). Raises Aborted where the store has another revision, Unavailable."""
        ...

    def snapshots(self) -> AsyncGenerator[Snapshot, None]:
        """They now, and again whenever they may have changed. Where the store is away, nothing comes until then."""
        ...
