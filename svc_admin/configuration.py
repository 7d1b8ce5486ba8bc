"""The settings as operators see and change them."""

from collections.abc import AsyncGenerator

from ragmesh.errors import InvalidArgument
from ragmesh.rpc.config import ConfigStore, Live
from ragmesh.rpc.config.live import parse
from ragmesh.settings import PREFIX, origins
from ragmesh.v1 import Config, SetConfigRequest, Setting


class Configuration:
    """What is in effect, and what may be changed."""

    def __init__(self, live: Live, store: ConfigStore) -> None:
        self._live = live
        self._store = store

    def shown(self) -> Config:
        """Every setting with its origin; one that was changed is `dynamic`, unless its new value was refused."""
        changed = self._live.snapshot.values.keys() - self._live.refused.keys()
        return Config(
            settings=[
                Setting(
                    key=origin.key,
                    value=origin.value,
                    source="dynamic" if _name(origin.key) in changed else origin.source,
                    dynamic=origin.is_dynamic,
                )
                for origin in origins(self._live.now)
            ],
            revision=self._live.snapshot.revision,
        )

    async def change(self, request: SetConfigRequest) -> Config:
        """Sets one, or with an empty value takes it back. Raises InvalidArgument, Aborted, Unavailable."""
        if not request.key.upper().startswith(PREFIX):
            raise InvalidArgument(f"{request.key!r} is no setting: keys begin with {PREFIX}", field="key")
        name = _name(request.key)
        if request.value:
            parse(name, request.value)
        await self._store.write(name, request.value or None, expected_revision=request.expected_revision)
        await self._live.take(await self._store.read())
        return self.shown()

    async def followed(self) -> AsyncGenerator[Config, None]:
        """The settings now and after each change."""
        while True:
            seen = self._live.changes
            yield self.shown()
            await self._live.changed(seen)


def _name(key: str) -> str:
    return key[len(PREFIX) :].lower()
