"""Fillings of cylinders, and what the regulator is told of them."""

import sqlalchemy as sa
from alembic import op

revision = "state_0015"
down_revision = "state_0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _steps()
    _fills()
    _reports()
    op.add_column("finding", sa.Column("resolved_at", sa.BigInteger(), nullable=True))


def _steps() -> None:
    key = ["gateway", "spool", "stream", "seq", "record_index"]
    op.create_table(
        "cylinder_fill_step",
        sa.Column("gateway", sa.String(length=64), nullable=False),
        sa.Column("spool", sa.String(length=32), nullable=False),
        sa.Column("stream", sa.String(length=8), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("record_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("gate", sa.String(length=128), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("opening", sa.BigInteger(), nullable=True),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("asset_id", sa.String(length=128), nullable=False),
        sa.Column("filler", sa.String(length=128), nullable=False),
        sa.Column("purged", sa.Boolean(), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=True),
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("time_unknown", sa.Boolean(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(*key),
    )
    for name, columns in {
        "fill_step_of_opening": ["gateway", "gate", "opening"],
        "fill_step_of_cylinder": ["asset_id", "observed_at"],
        "fill_step_by_receipt": ["received_at"],
    }.items():
        op.create_index(name, "cylinder_fill_step", columns)


def _fills() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    told = [
        *(("gateway", 64), ("gate", 128), ("state", 16), ("asset_id", 128), ("filler", 128)),
        *(("gas", 128), ("operator", 128), ("rules_version", 64), ("snapshot_version", 64)),
        *(("time_source", 16), ("overruled_by", 128), ("ended_by", 64), ("cleared_by", 128)),
    ]
    masses = ("before_kg", "after_kg", "net_kg", "limit_kg")
    json = ("reasons", "checks", "overruled", "codes", "faults")
    op.create_table(
        "cylinder_fill",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("opening", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.String(length=size), nullable=False) for name, size in told),
        *(sa.Column(name, sa.Float(), nullable=True) for name in masses),
        *(sa.Column(name, sa.Text(), nullable=False) for name in json),
        sa.Column("decision", sa.String(length=16), nullable=True),
        sa.Column("judged_on", sa.String(length=10), nullable=True),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("filled_on", sa.String(length=10), nullable=True),
        sa.Column("purged", sa.Boolean(), nullable=False),
        sa.Column("time_unknown", sa.Boolean(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("change"),
        sa.UniqueConstraint("gateway", "gate", "opening", name="one_fill_an_opening"),
    )
    for name, columns in {
        "fill_of_cylinder": ["asset_id", "began_at", "id"],
        "fill_by_filler": ["filler", "began_at", "id"],
        "fill_by_time": ["began_at", "id"],
        "fill_by_receipt": ["received_at"],
    }.items():
        op.create_index(name, "cylinder_fill", columns)


def _reports() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "cylinder_report",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("version", sa.String(length=16), nullable=False),
        sa.Column("asset_id", sa.String(length=128), nullable=False),
        sa.Column("filler", sa.String(length=128), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("retry_at", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    for name, columns in {
        "report_by_state": ["state", "id"],
        "report_of_cylinder": ["asset_id", "id"],
        "report_by_making": ["made_at"],
    }.items():
        op.create_index(name, "cylinder_report", columns)
