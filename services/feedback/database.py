"""The database: one code for SQLite and PostgreSQL, migrated when first used, and a plain word for every failure."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

MIGRATIONS = Path(__file__).resolve().parent / "migrations"
# Any number that nobody else locks in this database.
_LOCK = 7_823_114_407
_CONNECT_S, _STATEMENT_S, _BUSY_S = 3, 20, 5


class UnavailableError(Exception):
    """The database cannot be used now; nothing was changed. The message is for whoever asked."""


class Database:
    """An engine whose schema is brought up to date the first time that it is reached.

    Its methods block: call them in a thread.
    """

    def __init__(self, url: str) -> None:
        self.kind = "sqlite" if url.startswith("sqlite") else "postgresql"
        self.engine = _sqlite(url) if self.kind == "sqlite" else _postgresql(url)
        self._ready = False
        self._preparing = threading.Lock()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that only reads. Raises UnavailableError."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that writes: of SQLite's there is one at a time. Raises UnavailableError."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[sa.Connection]:
        with translated():
            self.prepare()
            with self.engine.connect().execution_options(begin=begin) as connection, connection.begin():
                yield connection

    def prepare(self) -> None:
        """Migrates to the newest schema, once; of several processes one does it and the others wait.

        Raises UnavailableError.
        """
        if self._ready:
            return
        with self._preparing, translated():
            if not self._ready:
                self.migrate()
                self._ready = True

    def migrate(self) -> None:
        """Brings the schema up to date in one transaction: killed half-way, it has not happened.

        Raises UnavailableError, also when the database is newer than this code.
        """
        from alembic import command
        from alembic.util import CommandError

        if self.kind == "sqlite":
            with translated():
                _make(Path(str(self.engine.url.database)))
        options = {"begin": "BEGIN IMMEDIATE"}
        with (
            translated(),
            self.engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            if self.kind == "postgresql":
                # Waits for as long as another copy's migration takes.
                connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
                connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            try:
                command.upgrade(alembic_config(connection), "head")
            except CommandError as error:
                raise UnavailableError(
                    "The feedback database is of a newer version than this service. Whoever runs it must update it."
                ) from error

    def close(self) -> None:
        """Ends all connections."""
        self.engine.dispose()


def alembic_config(connection: sa.Connection | None = None) -> Any:
    """Alembic's configuration for the migrations here, to run in this connection's transaction."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _make(path: Path) -> None:
    """An empty file that only its owner can read, unless there is one: people's photos will be in it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _sqlite(url: str) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_S})

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, record: object) -> None:
        # Python's module would begin transactions by its own rules, and none for changes of the schema.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def began(connection: sa.Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


def _postgresql(url: str) -> sa.Engine:
    return sa.create_engine(
        url,
        pool_size=5,
        max_overflow=5,
        pool_timeout=_CONNECT_S,
        # A connection that the server closed meanwhile is noticed before it is used.
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args={
            "connect_timeout": _CONNECT_S,
            "options": f"-c statement_timeout={_STATEMENT_S}s -c lock_timeout={_BUSY_S}s -c timezone=UTC",
            # Packets that nobody answers end the connection, and with it the wait.
            "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000,
            # Poolers of connections (PgBouncer, a managed database's) keep no prepared statements.
            "prepare_threshold": None,
        },
    )  # fmt: skip


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turns what a driver raises when the database cannot be used into UnavailableError."""
    try:
        yield
    except exc.TimeoutError as error:
        raise UnavailableError(
            "The feedback database has too much to do. Try again in a few seconds."
        ) from error
    except (exc.OperationalError, exc.InterfaceError, exc.InternalError) as error:
        raise UnavailableError(_sentence(error)) from error
    except OSError as error:
        raise UnavailableError(f"The feedback database's folder cannot be used: {error.strerror}.") from error


def _sentence(error: exc.DBAPIError) -> str:
    text = str(error.orig).lower()
    if "full" in text or "no space" in text or getattr(error.orig, "sqlstate", None) == "53100":
        return (
            "The feedback database has no room left, so nothing was stored. Whoever runs it must make room."
        )
    if "readonly" in text or "read-only" in text:
        return (
            "The feedback database can only be read, so nothing was stored. Whoever runs it must repair that."
        )
    return "The feedback database does not answer, so nothing was stored. Try again in a minute."
