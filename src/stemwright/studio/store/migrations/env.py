"""What Alembic runs: migrations on the connection that it is given."""

from __future__ import annotations

from alembic import context

from stemwright.studio.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    include_name=lambda name, kind, _parents: kind != "table" or name in Base.metadata.tables,
)
context.run_migrations()
