"""Workers, who of them has which run, locks, and what clients may still do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Go forward."""
    op.add_column("runs", sa.Column("worker", sa.String(96), nullable=True))
    op.add_column("runs", sa.Column("lease", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index("ix_runs_worker", "runs", ["worker"])
    op.create_table(
        "workers",
        sa.Column("id", sa.String(96), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("queue", sa.String(16), nullable=False),
        sa.Column("device", sa.String(32), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("release", sa.String(32), nullable=False),
        sa.Column("version", sa.String(16), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )
    op.create_index("ix_workers_state_seen_at", "workers", ["state", "seen_at"])
    op.create_table(
        "locks",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("holder", sa.String(96), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_locks"),
    )
    op.create_table(
        "allowances",
        sa.Column("client", sa.String(96), nullable=False),
        sa.Column("left", sa.Double(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("client", name="pk_allowances"),
    )
