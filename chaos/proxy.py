"""A TCP proxy that can be told to cut, swallow or delay what goes through it.

async with Proxy(("127.0.0.2", port), ("127.0.0.1", port)) as proxy:
    proxy.cut()          # connections are reset, and new ones refused
    proxy.heal()
"""

import asyncio
from contextlib import suppress
from enum import StrEnum
from typing import Self

Address = tuple[str, int]

PIECE_BYTES = 64 * 1024
POLL_S = 0.05


class Condition(StrEnum):
    """What the network is like."""

    OPEN = "open"
    CUT = "cut"  # every connection is reset, and new ones are refused
    SILENT = "silent"  # connections stay, and nothing arrives: a cable that was pulled
    SLOW = "slow"


class Proxy:
    """Listens at one address while another does, and passes everything on to it."""

    def __init__(self, listen: Address, target: Address) -> None:
        self._listen = listen
        self._target = target
        self._condition = Condition.OPEN
        self._delay_s = 0.0
        self._heard = asyncio.Event()  # set while bytes may pass
        self._heard.set()
        self._opened, self._shut = asyncio.Event(), asyncio.Event()
        self._links: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reset()
        self._following.cancel()
        await asyncio.gather(self._following, *self._links, return_exceptions=True)

    async def listening(self) -> None:
        """Returns once a connection can be made."""
        await self._opened.wait()

    def cut(self) -> None:
        """Resets every connection, and refuses new ones."""
        self._condition = Condition.CUT
        self._opened.clear()
        self._shut.set()
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

    async def _follow(self) -> None:
        """Refuses connections while the target does: who accepts them and hangs up looks like another fault."""
        while True:
            while not await self._can_pass():  # noqa: ASYNC110 it is another process's event
                await asyncio.sleep(POLL_S)
            server = await asyncio.start_server(self._accept, *self._listen)
            self._shut.clear()
            self._opened.set()
            try:
                await self._shut.wait()
            finally:
                self._opened.clear()
                server.close()

    async def _can_pass(self) -> bool:
        if self._condition is Condition.CUT:
            return False
        try:
            _, writer = await asyncio.open_connection(*self._target)
        except OSError:
            return False
        writer.close()
        return True

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.create_task(self._serve(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onwards, back = await asyncio.open_connection(*self._target)
        except OSError:
            self._shut.set()
            writer.transport.abort()
            return
        try:
            with suppress(OSError):
                await asyncio.gather(self._pass(reader, back), self._pass(onwards, writer))
        finally:
            back.transport.abort()
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE_BYTES):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            await self._heard.wait()
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
