"""The settings as they are at this moment: those a process was started with, and what was changed since."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any

import structlog
from pydantic import TypeAdapter, ValidationError

from ragmesh.errors import InvalidArgument
from ragmesh.rpc.config.port import ConfigStore, Snapshot
from ragmesh.settings import DYNAMIC, PREFIX, Settings, reason

log = structlog.get_logger()

FIRST_WITHIN_S = 2.0  # how long a start waits for the store


class Live:
    """Reads as Settings through `now`. A value that can't be is refused, and what it was before stays."""

    def __init__(self, settings: Settings) -> None:
        self._initial = settings
        self._now = settings
        self._changed = asyncio.Condition()
        self.changes = 0  # counted here: a store's revision need not tell every change by other hands
        self._listeners: list[Callable[[Settings], None]] = []
        self.snapshot = Snapshot()
        self.refused: Mapping[str, str] = MappingProxyType({})  # by field, why

    @property
    def now(self) -> Settings:
        """The settings in effect."""
        return self._now

    def listen(self, listener: Callable[[Settings], None]) -> None:
        """Tells a listener the settings, now and after each change."""
        self._listeners.append(listener)
        listener(self._now)

    async def changed(self, since: int) -> None:
        """Returns once `changes` is more than `since`."""
        async with self._changed:
            while self.changes <= since:
                await self._changed.wait()

    @asynccontextmanager
    async def following(self, store: ConfigStore) -> AsyncIterator[None]:
        """Keeps up with a store inside the block."""
        first = asyncio.Event()
        task = asyncio.create_task(self._follow(store, first))
        waiting = asyncio.create_task(first.wait())
        try:
            await asyncio.wait([task, waiting], timeout=FIRST_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
            yield
        finally:
            for one in (task, waiting):
                one.cancel()
            await asyncio.wait([task, waiting])

    async def take(self, snapshot: Snapshot) -> None:
        """Puts what a store has into effect."""
        if snapshot == self.snapshot:
            return
        values: dict[str, Any] = {}
        refused: dict[str, str] = {}
        for name, text in snapshot.values.items():
            try:
                values[name] = parse(name, text)
            except InvalidArgument as error:
                refused[name] = error.message
                if name in DYNAMIC:
                    values[name] = getattr(self._now, name)
                log.warning("config.refused", setting=name, reason=error.message)
        self._now = self._initial.model_copy(update=values)
        self.refused = MappingProxyType(refused)
        self.snapshot = snapshot
        for listener in self._listeners:
            listener(self._now)
        async with self._changed:
            self.changes += 1
            self._changed.notify_all()
        log.info("config.changed", revision=snapshot.revision, settings=sorted(values.keys() - refused.keys()))

    async def _follow(self, store: ConfigStore, first: asyncio.Event) -> None:
        async with aclosing(store.snapshots()) as snapshots:
            async for snapshot in snapshots:
                await self.take(snapshot)
                first.set()


def parse(name: str, text: str) -> Any:
    """The value of a dynamic setting from its text. Raises InvalidArgument, saying what would be right."""
    if name not in Settings.model_fields:
        near = "".join(f": is {PREFIX}{found.upper()} meant?" for found in get_close_matches(name, DYNAMIC, 1))
        raise InvalidArgument(f"there is no setting {PREFIX}{name.upper()}{near}", field="key")
    if name not in DYNAMIC:
        can = ", ".join(PREFIX + field.upper() for field in sorted(DYNAMIC))
        raise InvalidArgument(
            f"{PREFIX}{name.upper()} can't be changed while the mesh runs; these can: {can}", field="key"
        )
    try:
        return _adapter(name).validate_python(text)
    except ValidationError as error:
        reasons = "; ".join(map(reason, error.errors(include_url=False)))
        raise InvalidArgument(f"{PREFIX}{name.upper()} can't be {text!r}: {reasons}", field="value") from None


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    field = Settings.model_fields[name]
    # Not the field itself, for its alias and default mean nothing here; and Annotated wants more than a type.
    checked: Any = Annotated[field.annotation, name, *field.metadata]  # pyright: ignore[reportInvalidTypeForm] of values
    return TypeAdapter(checked)
