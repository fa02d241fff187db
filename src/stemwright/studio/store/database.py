"""The database: one engine, sessions, one clock, and migrations under a lock."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from stemwright.errors import DatabaseUnavailableError, SetupError
from stemwright.studio.store.texts import allow_nul

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy import Connection

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
HEAD: Final = "0006"  # the revision of the newest migration; a test compares
_LOCK: Final = 7_361_942_258  # of PostgreSQL's advisory locks: while migrations run
_FRESH: Final = 30.0  # seconds after which the database's clock is looked at again
_IDLE: Final = 15_000  # milliseconds that a transaction may stand still
_POOL_TIMEOUT: Final = 5.0  # seconds that who finds all connections in use waits for one
_KEPT: Final = 900.0  # seconds of a connection's life
# A peer that vanished is noticed after ten seconds: without these libpq waited more than a minute (fleet probes).
_LINK: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class NeedsMigrationError(SetupError):
    """The tables of the database are of another edition."""

    code = "needs_migration"


def sqlite_url(path: Path) -> str:
    """The URL of a database in a file, whatever its folder is called."""
    return URL.create("sqlite", database=str(path)).render_as_string()


class Database:
    """The studio's database, `sqlite:///path` or `postgresql+psycopg://…`."""

    def __init__(self, url: str, *, pool: int = 4) -> None:
        """Connect when it is first needed; `pool` connections to PostgreSQL are kept, and at most twice as many used.

        Raises `SetupError` when the driver of PostgreSQL is not installed.
        """
        self.url = url
        self.shared = not url.startswith("sqlite")  # with processes on other machines
        self._clock = _Clock() if self.shared else None
        self.engine = create_engine(url, execution_options={"now": self.now}, **self._how(pool))
        if not self.shared:
            event.listen(self.engine, "connect", _prepare_sqlite)
        else:
            event.listen(self.engine, "connect", _prepare_postgres)
            event.listen(self.engine, "connect", allow_nul)

    def _how(self, pool: int) -> Mapping[str, object]:
        """What the engine is made with."""
        if not self.shared:
            return {"pool_pre_ping": True}
        try:
            import psycopg  # noqa: F401
        except ImportError as error:
            raise SetupError("PostgreSQL needs psycopg: pip install 'stemwright[server,fleet]'") from error
        return {
            "pool_pre_ping": True,
            "pool_size": pool,
            "max_overflow": pool,
            "pool_timeout": _POOL_TIMEOUT,
            "pool_recycle": _KEPT,
            "connect_args": {**_LINK, "prepare_threshold": None},  # pgbouncer knows no prepared statements
        }

    def now(self) -> float:
        """The time, in seconds since the epoch, by the database's clock: one for all processes, whatever theirs say.

        It is asked for now and then, by whoever has a connection; before the first time it is this machine's.
        """
        return self._clock.now() if self._clock else time.time()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session whose transaction is committed at the end, or rolled back when an exception leaves it.

        Raises `DatabaseUnavailableError` while the database is locked or away.
        """
        with translated(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            if self._clock and self._clock.is_old():
                self._clock.set(session.connection())
            yield session

    def migrate(self) -> None:
        """Bring the tables to the newest form; several processes may do so at once."""
        if self.revision() == HEAD:  # Alembic alone would cost a quarter second of each start
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

    def verify(self) -> None:
        """See that the tables have the form that this edition needs.

        Raises `NeedsMigrationError`, and `DatabaseUnavailableError` when the database does not answer.
        """
        self.ping()
        if (found := self.revision()) == HEAD:
            return
        if found is not None and found > HEAD:
            raise NeedsMigrationError(
                f"the database is of a newer edition ({found}; this one knows {HEAD}): update this"
            )
        raise NeedsMigrationError("the database has no tables of this edition yet: run `stemwright migrate` once")

    def revision(self) -> str | None:
        """The form that the tables have; None where there are none."""
        try:
            with self.engine.connect() as connection:
                return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        except DBAPIError:  # there are no tables
            return None

    def ping(self) -> None:
        """Ask the database for an answer. Raises `DatabaseUnavailableError`."""
        with translated(), self.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            if self._clock:
                self._clock.set(connection)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def now_of(session: Session) -> float:
    """The time by the clock of a session's database; see `Database.now`."""
    now: Callable[[], float] = session.connection().get_execution_options()["now"]
    return now()


@contextmanager
def translated() -> Iterator[None]:
    """Tell errors of a database that is locked or away as ours. Raises `DatabaseUnavailableError`."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise DatabaseUnavailableError(str(error.orig)[:200]) from error
    except PoolTimeoutError as error:
        raise DatabaseUnavailableError("all connections are in use") from error


class _Clock:
    """The time of another machine, by its distance from a clock of ours that nobody sets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ahead = time.time() - time.monotonic()
        self._at = -_FRESH

    def now(self) -> float:
        return time.monotonic() + self._ahead

    def is_old(self) -> bool:
        return time.monotonic() - self._at > _FRESH

    def set(self, connection: Connection) -> None:
        before = time.monotonic()
        there = connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
        after = time.monotonic()
        with self._lock:
            self._ahead, self._at = float(there) - (before + after) / 2, after


def _lock(connection: Connection) -> None:
    """Keep others from migrating until the transaction ends."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("BEGIN IMMEDIATE"))
    else:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


def _prepare_postgres(connection: Any, _record: object) -> None:
    """Set the limits of a new connection: a process that hangs amid a transaction must not hold what others need."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = {_IDLE}")
    connection.commit()


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Set the pragmas of a new connection; writers queue up from their first write on."""
    connection.isolation_level = "IMMEDIATE"
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=30000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
