"""Texts in SQLite and PostgreSQL: in one order, and whatever characters they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import SQLCompiler


class by_code_point(FunctionElement[str]):  # noqa: N801  (it is used as a function)
    """A text that is compared by the numbers of its characters, which is SQLite's way, whatever the server's locale."""

    type = String()
    inherit_cache = True


@compiles(by_code_point)
def _plain(element: by_code_point, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(by_code_point, "postgresql")
def _collated(element: by_code_point, compiler: SQLCompiler, **options: Any) -> str:
    return f'({compiler.process(element.clauses, **options)} COLLATE "C")'


def allow_nul(connection: Any, _record: object) -> None:
    """Let a connection to PostgreSQL take texts with NUL, which it cannot hold: U+FFFD stands for it."""
    from psycopg.types.string import StrDumperUnknown

    class Dumper(StrDumperUnknown):
        """Dumps a text."""

        def dump(self, obj: str) -> Any:
            """Its bytes."""
            return super().dump(obj.replace("\0", "\ufffd"))

    connection.adapters.register_dumper(str, Dumper)
