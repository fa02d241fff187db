"""Which audio track of its file a song is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Go forward."""
    op.add_column("songs", sa.Column("track", sa.BigInteger(), nullable=True))
