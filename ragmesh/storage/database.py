"""The SQL database: SQLite on one machine, PostgreSQL in a cluster, through the same SQLAlchemy code.

    async with connect(settings.database) as database:
        await migrate(database, MIGRATIONS)
        async with database.write() as connection:
            await connection.execute(insert(documents).values(...))

A transaction says beforehand whether it writes. On SQLite a writing one takes the write lock as it begins, so two
processes queue up instead of deadlocking half way; a reading one sees one snapshot and waits for nobody.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, DateTime, Dialect, TypeDecorator, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ragmesh.errors import Unavailable

SQLITE_PRAGMAS = ("busy_timeout = 15000", "synchronous = FULL", "foreign_keys = ON")
LOCK_WAIT_S = 15.0
POOL_SIZE = 8  # connections of one process
POOL_WAIT_S = 5.0  # for one of them
CONNECT_S = 5.0
COMMAND_S = 10.0  # longest statement
ABANDONED_S = 60  # after which the server ends a transaction whose client is silent
WRITES = "ragmesh_writes"  # execution option of a writing transaction
AWAY = ("08", "40", "53", "57P")  # SQLSTATE: no connection, undone for another's sake, out of resources, starting
MIGRATION_LOCK = 0x7261676D  # any number that nobody else locks in PostgreSQL


class Instant(TypeDecorator[datetime]):
    """A point in time, in UTC on both sides of the database; SQLite alone would forget the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


class Database:
    """A pool of connections. Raises Unavailable where the database is away or stays locked."""

    def __init__(self, engine: AsyncEngine) -> None:
        snapshot = {} if _is_sqlite(engine) else {"isolation_level": "REPEATABLE READ"}
        self._reader = engine.execution_options(**snapshot)
        self._writer = engine.execution_options(**{WRITES: True})
        # SQLite has one writer at a time, and lets others sleep for it: within a process, queueing is faster.
        self._turn = asyncio.Lock() if _is_sqlite(engine) else nullcontext()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads, and sees one state of the database throughout."""
        async with _reported(), self._reader.begin() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is durable once the block is left, and undone if it raises."""
        async with _reported(), self._turn, self._writer.begin() as connection:
            yield connection


def is_writing(connection: AsyncConnection) -> bool:
    """Whether a connection came from `Database.write`."""
    return bool(connection.sync_connection and connection.sync_connection.get_execution_options().get(WRITES))


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Database]:
    """The database at a SQLAlchemy URL; an SQLite file is made where there is none."""
    engine = create_async_engine(url, pool_size=POOL_SIZE, max_overflow=0, pool_timeout=POOL_WAIT_S, **_driver(url))
    if _is_sqlite(engine):
        await asyncio.to_thread(_make_sqlite, Path(make_url(url).database or ""))
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    try:
        yield Database(engine)
    finally:
        await engine.dispose()


async def migrate(database: Database, migrations: Path) -> None:
    """Brings the schema up to date, once, however many processes start with it at the same moment."""
    async with database.write() as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        await connection.run_sync(_upgrade, migrations)


def _upgrade(connection: Connection, migrations: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _driver(url: str) -> dict[str, Any]:
    """What PostgreSQL's driver is told: a database that hangs is Unavailable soon, a dead connection is found."""
    if not url.startswith("postgresql"):
        return {}
    server = {"application_name": "ragmesh", "idle_in_transaction_session_timeout": f"{ABANDONED_S}s"}
    asyncpg = {"timeout": CONNECT_S, "command_timeout": COMMAND_S, "server_settings": server}
    return {"pool_pre_ping": True, "connect_args": asyncpg}


def _is_sqlite(engine: AsyncEngine) -> bool:
    return engine.dialect.name == "sqlite"


def _make_sqlite(file: Path) -> None:
    """Makes the file, and turns on its write-ahead log: SQLite alone would not wait for others who do the same."""
    file.parent.mkdir(parents=True, exist_ok=True)
    give_up_at = time.monotonic() + LOCK_WAIT_S
    with closing(sqlite3.connect(file)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if time.monotonic() > give_up_at:
                    raise Unavailable(f"{file} can't be opened or stays locked: {error}") from error
                time.sleep(0.02)
            else:
                return


def _prepare_sqlite(connection: DBAPIConnection, _: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: _begin_sqlite does
    cursor = connection.cursor()
    for pragma in SQLITE_PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@asynccontextmanager
async def _reported() -> AsyncIterator[None]:
    try:
        yield
    except (OperationalError, PoolTimeoutError, OSError) as error:
        raise Unavailable("the database can't be reached or is busy; try again") from error
    except DBAPIError as error:
        if not _is_away(error):
            raise
        raise Unavailable("the database went away or is starting; try again") from error


def _is_away(error: DBAPIError) -> bool:
    """Whether the server is not there at the moment, rather than against what it was asked."""
    return error.connection_invalidated or str(getattr(error.orig, "sqlstate", "")).startswith(AWAY)
