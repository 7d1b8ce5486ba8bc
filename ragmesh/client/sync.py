"""The same client without async: each call waits in the caller's thread for a loop that runs in one of its own.

with SyncClient() as client:
    for event in client.answer("How long is data kept?"):
        if event.token:
            print(event.token.text, end="")
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, Unpack

from ragmesh.client.answers import AnswerOptions
from ragmesh.client.chat import Chat
from ragmesh.client.client import RETRIES, Client
from ragmesh.errors import Aborted, FailedPrecondition
from ragmesh.rpc.context import DEFAULT_TENANT
from ragmesh.settings import Settings
from ragmesh.v1 import Turn

P = ParamSpec("P")
T = TypeVar("T")
Inner = TypeVar("Inner")

CANCELLED_WITHIN_S = 5.0  # longest wait for work to end that was interrupted


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="ragmesh", daemon=True)
        self._thread.start()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Waits for work. Where this thread is interrupted, the work is cancelled, and has ended by the end."""
        ended = threading.Event()
        future = asyncio.run_coroutine_threadsafe(_until_ended(work, ended), self._loop)
        try:
            return future.result()
        except CancelledError:
            raise Aborted("the client was closed before the mesh had answered") from None
        except BaseException:
            if future.cancel():
                ended.wait(CANCELLED_WITHIN_S)
            raise

    def stop(self) -> None:
        """Ends the thread, once it has finished what it does."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()


async def _until_ended(work: Coroutine[Any, Any, T], ended: threading.Event) -> T:
    try:
        return await work
    finally:
        ended.set()


class Synchronous(Generic[Inner]):
    """Something asynchronous, and the loop that it lives in."""

    def __init__(self, asynchronous: Inner, loop: Loop | None = None) -> None:
        self.asynchronous = asynchronous
        self._loop = loop

    @property
    def loop(self) -> Loop:
        """Raises FailedPrecondition outside of `with`."""
        if self._loop is None:
            raise FailedPrecondition("the client is not connected: use it inside `with SyncClient(…) as client:`")
        return self._loop


def waits(
    method: Callable[Concatenate[Inner, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Synchronous[Inner], P], T]:
    """The method, waited for."""

    @wraps(method)
    def call(self: Synchronous[Inner], *args: P.args, **kwargs: P.kwargs) -> T:
        return self.loop.wait(method(self.asynchronous, *args, **kwargs))

    return call


def iterates(
    method: Callable[Concatenate[Inner, P], AsyncIterator[T]],
) -> Callable[Concatenate[Synchronous[Inner], P], Generator[T, None, None]]:
    """The method's iterator, waited for item by item. Leaving it closes the stream."""

    @wraps(method)
    def call(self: Synchronous[Inner], *args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
        items = method(self.asynchronous, *args, **kwargs)
        try:
            while True:
                try:
                    item = self.loop.wait(_next(items))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            if isinstance(items, AsyncGenerator):
                self.loop.wait(items.aclose())

    return call


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)


class SyncChat(Synchronous[Chat]):
    """One conversation; see Chat."""

    ask = iterates(Chat.ask)

    @property
    def history(self) -> Sequence[Turn]:
        """What was said so far, oldest first."""
        return self.asynchronous.history


class SyncClient(Synchronous[Client]):
    """A mesh, seen from an application without async. Use it with `with`; safe to use from several threads."""

    def __init__(
        self,
        target: str | Settings | None = None,
        *,
        profile: str | None = None,
        api_key: str | None = None,
        ca_file: str | Path | None = None,
        cert_file: str | Path | None = None,
        key_file: str | Path | None = None,
        tenant: str = DEFAULT_TENANT,
        retries: int = RETRIES,
    ) -> None:
        """Chooses a mesh, as Client does."""
        super().__init__(
            Client(
                target,
                profile=profile,
                api_key=api_key,
                ca_file=ca_file,
                cert_file=cert_file,
                key_file=key_file,
                tenant=tenant,
                retries=retries,
            )
        )

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            self._loop = Loop()
            opening.callback(self._stop)
            self.loop.wait(self.asynchronous.__aenter__())
            opening.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.loop.wait(self.asynchronous.__aexit__(None, None, None))
        finally:
            self._stop()

    def _stop(self) -> None:
        self.loop.stop()
        self._loop = None

    add = waits(Client.add)
    get = waits(Client.get)
    list = iterates(Client.list)
    watch = iterates(Client.watch)
    delete = waits(Client.delete)
    reprocess = waits(Client.reprocess)
    download = iterates(Client.download)
    chunks = iterates(Client.chunks)
    create_collection = waits(Client.create_collection)
    collection = waits(Client.collection)
    collections = iterates(Client.collections)
    delete_collection = waits(Client.delete_collection)

    search = waits(Client.search)
    answer = iterates(Client.answer)
    ask = waits(Client.ask)
    complete = iterates(Client.complete)
    suggest = waits(Client.suggest)
    embed = waits(Client.embed)

    mesh = waits(Client.mesh)
    watch_mesh = iterates(Client.watch_mesh)
    stats = waits(Client.stats)
    models = waits(Client.models)
    config = waits(Client.config)
    set_config = waits(Client.set_config)
    dead_letters = iterates(Client.dead_letters)
    replay = waits(Client.replay)
    load_model = waits(Client.load_model)
    unload_model = waits(Client.unload_model)
    verify_model = waits(Client.verify_model)
    promote_model = waits(Client.promote_model)
    roll_back_model = waits(Client.roll_back_model)
    start_reindex = waits(Client.start_reindex)
    reindex = waits(Client.reindex)
    drop_index = waits(Client.drop_index)
    create_key = waits(Client.create_key)
    list_keys = iterates(Client.list_keys)
    revoke_key = waits(Client.revoke_key)

    @contextmanager
    def chat(
        self,
        *,
        collection: str = "",
        history: Sequence[Turn] = (),
        timeout: float | None = None,
        **options: Unpack[AnswerOptions],
    ) -> Generator[SyncChat, None, None]:
        """A conversation, for `with`; see Client.chat."""
        chat = self.asynchronous.chat(collection=collection, history=history, timeout=timeout, **options)
        try:
            yield SyncChat(chat, self.loop)
        finally:
            self.loop.wait(chat.__aexit__(None, None, None))
