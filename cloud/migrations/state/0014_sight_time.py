"""Whose events they are, by the time of the event: the newest of a firm are one range."""

import sqlalchemy as sa
from alembic import op

revision = "state_0014"
down_revision = "state_0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, fill it from the events, and make the index."""
    column = sa.Column("event_time_us", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("trace_sight", column)
    event, sight = (
        sa.table(name, sa.column("event_no"), sa.column("event_time_us"))
        for name in ("trace_event", "trace_sight")
    )
    time_us = sa.select(event.c.event_time_us).where(event.c.event_no == sight.c.event_no)
    op.execute(sa.update(sight).values(event_time_us=time_us.scalar_subquery()))
    columns = ["organisation", "event_time_us", "event_no"]
    op.create_index("trace_sight_by_time", "trace_sight", columns)
