"""Alarms whole: latching, shelving, deadlines, assets out of service, test calls."""

import sqlalchemy as sa
from alembic import op

revision = "state_0020"
down_revision = "state_0019"
branch_labels = None
depends_on = None

REPEAT_MS = 60_000
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns and the tables; what stands open keeps its state."""
    with op.batch_alter_table("alarm") as table:
        for name in ("active", "suppressed", "latching", "latched"):
            table.add_column(sa.Column(name, sa.Boolean(), nullable=True))
        for name in ("shelved_at", "shelve_ends_at", "due_at"):
            table.add_column(sa.Column(name, sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("shelved_by", sa.String(length=64), nullable=True))
        table.add_column(sa.Column("shelve_reason", sa.Text(), nullable=True))
        for name in ("shelvings", "repeats"):
            table.add_column(sa.Column(name, sa.Integer(), nullable=True))
        table.add_column(sa.Column("reasons", sa.Text(), nullable=True))
    op.execute(_FILL)
    op.execute(_REPEAT)
    with op.batch_alter_table("alarm") as table:
        for name in ("active", "suppressed", "latching", "latched"):
            table.alter_column(name, existing_type=sa.Boolean(), nullable=False)
        for name in ("shelvings", "repeats"):
            table.alter_column(name, existing_type=sa.Integer(), nullable=False)
        table.alter_column("reasons", existing_type=sa.Text(), nullable=False)
        table.create_index("alarm_by_open", ["open", "id"])
        table.create_index("alarm_by_due", ["due_at"])
    _tables()


_FILL = """
UPDATE alarm SET
  active = (state NOT IN ('normal', 'return_to_normal_unacknowledged')),
  suppressed = (state = 'suppressed_by_design'),
  latching = (1 = 0), latched = (1 = 0), shelvings = 0, repeats = 0, reasons = '[]'
"""
_REPEAT = f"""
UPDATE alarm SET due_at = changed_at + {REPEAT_MS}
WHERE severity = 'emergency'
  AND state IN ('unacknowledged', 'return_to_normal_unacknowledged')
"""  # noqa: S608 - a number of ours


def _tables() -> None:
    op.create_table(
        "alarm_raise",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("alarm", sa.BigInteger(), nullable=False),
        sa.Column("asset", sa.String(length=97), nullable=False),
        sa.Column("alert", sa.String(length=64), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("raise_by_time", "alarm_raise", ["raised_at"])
    op.create_index("raise_of_alarm", "alarm_raise", ["alarm"])
    op.create_table(
        "out_of_service",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("asset", sa.String(length=97), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("began_by", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("return_expected_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(length=64), nullable=True),
        sa.Column("open", sa.String(length=1), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("asset", "open", name="one_time_out"),
    )
    op.create_index("out_by_end", "out_of_service", ["ended_at"])
    op.create_table(
        "test_call",
        sa.Column("asset", sa.String(length=97), nullable=False),
        sa.Column("watched_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=True),
        sa.Column("still_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("missing", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("asset"),
    )
    op.create_index("test_call_by_due", "test_call", ["missing", "due_at"])
