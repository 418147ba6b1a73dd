"""The watch over cylinders: cases, notices, and what stations were seen to have."""

import sqlalchemy as sa
from alembic import op

revision = "state_0016"
down_revision = "state_0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _cases()
    _standing()
    _notices()


def _cases() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "cylinder_case",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("subject", sa.String(length=97), nullable=False),
        sa.Column("key", sa.String(length=96), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("stage_days", sa.Integer(), nullable=True),
        sa.Column("station", sa.String(length=32), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("alarm", sa.Boolean(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("open", sa.String(length=1), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("subject", "kind", "key", name="one_case_of_a_key"),
    )
    op.create_index("case_by_day", "cylinder_case", ["open", "day", "id"])
    op.create_index("case_by_end", "cylinder_case", ["ended_at"])
    op.create_index("case_by_kind", "cylinder_case", ["kind", "open", "day", "id"])
    op.create_index("case_of_station", "cylinder_case", ["station", "kind", "raised_at"])


def _standing() -> None:
    op.create_table(
        "cylinder_sighting",
        sa.Column("subject", sa.String(length=97), nullable=False),
        sa.Column("observed_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("gateway", sa.String(length=64), nullable=False),
        sa.Column("place", sa.String(length=64), nullable=False),
        sa.Column("step", sa.String(length=32), nullable=False),
        sa.Column("by_scan", sa.Boolean(), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "observed_at", "gateway", "by_scan"),
    )
    op.create_index("sighting_by_gateway", "cylinder_sighting", ["gateway", "observed_at"])
    op.create_index("sighting_by_receipt", "cylinder_sighting", ["received_at"])
    op.create_index("sighting_by_step", "cylinder_sighting", ["step", "observed_at"])
    op.create_table(
        "cylinder_watch",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "station_snapshot",
        sa.Column("gateway", sa.String(length=64), nullable=False),
        sa.Column("station", sa.String(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gateway"),
    )


def _notices() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "cylinder_notice_to",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("organisation", sa.String(length=32), nullable=False),
        sa.Column("principal", sa.String(length=64), nullable=False),
        sa.Column("account", sa.BigInteger(), nullable=True),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("told_case", sa.BigInteger(), nullable=False),
        sa.Column("told_day", sa.String(length=10), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("notice_to_by_organisation", "cylinder_notice_to", ["organisation"])
    op.create_table(
        "cylinder_notice",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("address_id", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("retry_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("open", sa.String(length=1), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("address_id", "open", name="one_notice_at_a_time"),
    )
    op.create_index("notice_by_end", "cylinder_notice", ["ended_at"])
