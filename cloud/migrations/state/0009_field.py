"""Scans and codes of which no event was made, and why."""

import sqlalchemy as sa
from alembic import op

revision = "state_0009"
down_revision = "state_0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    key = ["gateway", "spool", "stream", "seq", "record_index", "code_index"]
    op.create_table(
        "trace_left_out",
        sa.Column("gateway", sa.String(length=64), nullable=False),
        sa.Column("spool", sa.String(length=32), nullable=False),
        sa.Column("stream", sa.String(length=8), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("record_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("code_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("noted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(*key),
    )
    op.create_index("trace_left_out_by_time", "trace_left_out", ["noted_at"])
