"""JSON of one form for each kind of record, and the outbox in the place of orders."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    from collections.abc import Callable

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("door", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("job_id", sa.String(length=32), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("sent", sa.JSON(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_outbox_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index("ix_outbox_owner_door_name", "outbox", ["owner", "door", "name"], unique=False)
    op.create_index("ix_outbox_door_open", "outbox", ["door", "open"], unique=False)
    op.create_index(op.f("ix_outbox_job_id"), "outbox", ["job_id"], unique=False)
    op.execute("INSERT INTO outbox SELECT id, owner, door, name, job_id, facts, told, open, created_at FROM orders")
    op.drop_table("orders")
    _change("outbox", "sent", _sent)
    _change("runs", "options", _options)
    _change("tracks", "found", _found)
    _change("separations", "receipt", _receipt)


def _change(table: str, column: str, new: Callable[[Any], Any]) -> None:
    """Give a column of JSON its new form, row by row; what is new already stays."""
    rows = sa.table(table, sa.column("id", sa.String), sa.column(column, sa.JSON))
    connection = op.get_bind()
    for row in connection.execute(sa.select(rows.c.id, rows.c[column]).where(rows.c[column].is_not(None))).all():
        if row[1] is not None and (changed := new(row[1])) != row[1]:
            connection.execute(sa.update(rows).where(rows.c.id == row[0]).values({column: changed}))


def _sent(told: dict[str, Any]) -> dict[str, Any]:
    return {stage: outcome["error"] for stage, outcome in told.items()}


def _options(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "master"}


def _found(found: dict[str, Any]) -> dict[str, Any]:
    heard = {name: found[name] for name in ("tempo", "key", "warnings") if name in found}
    return {
        **{name: found.get(name) for name in ("duration", "sample_rate", "channels", "loudness")},
        "analysis": heard if "key" in heard else None,
    }


def _receipt(receipt: dict[str, Any]) -> dict[str, Any]:
    """A receipt of imported stems had some of the fields only."""
    if "key" in receipt:
        return receipt
    given, stems = receipt["input"], receipt["stems"]
    frames = round(given["duration"] * given["sample_rate"])
    return receipt | {
        "key": given["digest"],
        "created_at": datetime.now(UTC).replace(microsecond=0).isoformat(),
        "input": {"name": ", ".join(stem["name"] for stem in stems), "size_bytes": 0, "container": "stems"}
        | {"frames": frames, **given},
        "model": {"requested": "imported", "family": "imported", "licence": "", "weights_digest": None}
        | receipt["model"],
        "device": "cpu",
        "settings": {"overlap": None, "shifts": None, "segment": None, "exact": False, "bitrate": None}
        | {"sample_rate": given["sample_rate"], **receipt["settings"]},
        "residual_added_to": None,
        "elapsed": 0.0,
        "real_time_factor": 0.0,
        "versions": {},
        "files": sorted(stem["file"] for stem in stems),
        "kept": [],
    }
