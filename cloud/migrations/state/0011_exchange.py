"""Partners of exchange, and receipts."""

import sqlalchemy as sa
from alembic import op

revision = "state_0011"
down_revision = "state_0010"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    texts = ("pull", "push")
    progress = ("pulling", "pushing", "subscribed")
    op.create_table(
        "trace_partner",
        sa.Column("partner_id", sa.String(length=32), nullable=False),
        sa.Column("organisation", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("header", sa.String(length=64), nullable=False),
        sa.Column("credential", sa.Text(), nullable=False),
        sa.Column("tolerances", sa.String(length=64), nullable=False),
        sa.Column("principal", sa.String(length=64), nullable=False),
        sa.Column("account", sa.BigInteger(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in texts),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.Column("pull_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("push_at_ms", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in progress),
        sa.Column("heard_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("partner_id"),
    )
    op.create_index("trace_partner_by_organisation", "trace_partner", ["organisation"])
    counts = ("events", "stored", "duplicates", "refused")
    op.create_table(
        "trace_receipt",
        sa.Column("receipt", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("partner_id", sa.String(length=32), nullable=False),
        sa.Column("organisation", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("begun_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("job", sa.BigInteger(), nullable=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in counts),
        sa.Column("last_no", sa.BigInteger(), nullable=True),
        sa.Column("faults", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("receipt"),
    )
    op.create_index("trace_receipt_by_partner", "trace_receipt", ["partner_id", "receipt"])
    op.create_index("trace_receipt_by_job", "trace_receipt", ["job"])
    op.create_index("trace_receipt_by_end", "trace_receipt", ["ended_at_ms"])
