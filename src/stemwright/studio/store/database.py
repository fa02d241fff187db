"""The database: one engine, sessions, and migrations under a lock."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from stemwright.errors import DatabaseUnavailableError
from stemwright.studio.store.texts import allow_nul

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
HEAD: Final = "0004"  # the revision of the newest migration; a test compares
_LOCK: Final = 7_361_942_258  # of PostgreSQL's advisory locks: while migrations run


def sqlite_url(path: Path) -> str:
    """The URL of a database in a file, whatever its folder is called."""
    return URL.create("sqlite", database=str(path)).render_as_string()


class Database:
    """The studio's database, `sqlite:///path` or `postgresql+psycopg://…`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = create_engine(url, pool_pre_ping=True)
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _prepare_sqlite)
        else:
            event.listen(self.engine, "connect", allow_nul)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session whose transaction is committed at the end, or rolled back when an exception leaves it.

        Raises `DatabaseUnavailableError` while the database is locked or away.
        """
        try:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                yield session
        except (OperationalError, InterfaceError) as error:
            raise DatabaseUnavailableError(str(error.orig)[:200]) from error

    def migrate(self) -> None:
        """Bring the tables to the newest form; several processes may do so at once."""
        if self._revision() == HEAD:  # Alembic alone would cost a quarter second of each start
            return
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        with self.engine.connect() as connection:
            _lock(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()

    def _revision(self) -> str | None:
        """The form that the tables have."""
        try:
            with self.engine.connect() as connection:
                return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        except DBAPIError:  # there are no tables
            return None

    def ping(self) -> None:
        """Ask the database for an answer. Raises whatever the driver raises."""
        with self.engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _lock(connection: Connection) -> None:
    """Keep others from migrating until the transaction ends."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("BEGIN IMMEDIATE"))
    else:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Set the pragmas of a new connection; writers queue up from their first write on."""
    connection.isolation_level = "IMMEDIATE"
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=30000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
