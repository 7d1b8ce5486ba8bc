"""A TCP proxy that can be told to cut, swallow or delay what goes through it.

async with Proxy(("127.0.0.2", port), ("127.0.0.1", port)) as proxy:
    proxy.cut()          # connections are reset, and new ones too
    proxy.heal()
"""

import asyncio
from contextlib import suppress
from enum import StrEnum
from typing import Self

Address = tuple[str, int]

PIECE_BYTES = 64 * 1024


class Condition(StrEnum):
    """What the network is like."""

    OPEN = "open"
    CUT = "cut"  # every connection is reset
    SILENT = "silent"  # connections stay, and nothing arrives: a cable that was pulled
    SLOW = "slow"


class Proxy:
    """Listens at one address and passes everything on to another."""

    def __init__(self, listen: Address, target: Address) -> None:
        self._listen = listen
        self._target = target
        self._condition = Condition.OPEN
        self._delay_s = 0.0
        self._heard = asyncio.Event()  # set while bytes may pass
        self._heard.set()
        self._links: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, *self._listen)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._reset()
        await asyncio.gather(*self._links, return_exceptions=True)

    def cut(self) -> None:
        """Resets every connection, and those that come."""
        self._condition = Condition.CUT
        self._reset()

    def silence(self) -> None:
        """Lets nothing through, and says nothing about it."""
        self._condition = Condition.SILENT
        self._heard.clear()

    def slow(self, delay_s: float) -> None:
        """Holds every piece back for so long."""
        self._condition, self._delay_s = Condition.SLOW, delay_s

    def heal(self) -> None:
        """Lets everything through again."""
        self._condition, self._delay_s = Condition.OPEN, 0.0
        self._heard.set()

    def _reset(self) -> None:
        for link in self._links:
            link.cancel()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.create_task(self._serve(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._condition is not Condition.CUT:
                await self._connect(reader, writer)
        finally:
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            onwards, back = await asyncio.open_connection(*self._target)
            try:
                await asyncio.gather(self._pass(reader, back), self._pass(onwards, writer))
            finally:
                back.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE_BYTES):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            await self._heard.wait()
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
