"""Subscriptions to the trace repository, and tokens of pages that were given back."""

import sqlalchemy as sa
from alembic import op

revision = "state_0007"
down_revision = "state_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _subscription()
    op.create_table(
        "trace_spent_token",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("trace_spent_token_by_end", "trace_spent_token", ["expires_at_ms"])


def _subscription() -> None:
    op.create_table(
        "trace_subscription",
        sa.Column("subscription_id", sa.String(length=36), nullable=False),
        sa.Column("organisation", sa.String(length=32), nullable=False),
        sa.Column("query_name", sa.String(length=128), nullable=False),
        sa.Column("principal", sa.String(length=64), nullable=False),
        sa.Column("account", sa.BigInteger(), nullable=True),
        sa.Column("dest", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("report_if_empty", sa.Boolean(), nullable=False),
        sa.Column("epc_format", sa.String(length=32), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("initial_us", sa.BigInteger(), nullable=True),
        sa.Column("passed_no", sa.BigInteger(), nullable=False),
        sa.Column("due_no", sa.BigInteger(), nullable=True),
        sa.Column("next_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("retry_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("min_record_us", sa.BigInteger(), nullable=False),
        sa.Column("notified_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("subscription_id"),
    )
    columns = ["organisation", "query_name"]
    op.create_index("trace_subscription_by_query", "trace_subscription", columns)
    op.create_index("trace_subscription_by_state", "trace_subscription", ["state"])
