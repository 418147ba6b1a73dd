"""Enterprise platforms that report lifts by REST, and what their dialects do not have."""

import sqlalchemy as sa
from alembic import op

revision = "state_0023"
down_revision = "state_0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _make_platforms()
    _make_ways()


def _make_platforms() -> None:
    op.create_table(
        "lift_platform",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("organisation", sa.String(length=32), nullable=False),
        sa.Column("dialect", sa.String(length=32), nullable=False),
        sa.Column("dialect_version", sa.String(length=16), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("secret_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("lift_platform_by_organisation", "lift_platform", ["organisation"])
    op.create_index("lift_platform_by_change", "lift_platform", ["updated_at"])
    op.create_table(
        "lift_platform_account",
        sa.Column("platform", sa.String(length=32), nullable=False),
        sa.Column("spool", sa.String(length=32), nullable=False),
        sa.Column("alarm_seq", sa.BigInteger(), nullable=False),
        sa.Column("data_seq", sa.BigInteger(), nullable=False),
        sa.Column("heard_at", sa.BigInteger(), nullable=True),
        sa.Column("taken", sa.BigInteger(), nullable=False),
        sa.Column("duplicate", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("placed", sa.BigInteger(), nullable=False),
        sa.Column("offsets", sa.Text(), nullable=False),
        sa.Column("last_refusal", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("platform"),
    )
    op.create_table(
        "lift_platform_token",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("platform", sa.String(length=32), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_index("lift_platform_token_of", "lift_platform_token", ["platform", "issued_at"])
    op.create_index("lift_platform_token_by_end", "lift_platform_token", ["expires_at"])
    op.create_table(
        "lift_platform_item",
        sa.Column("platform", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("content", sa.String(length=16), nullable=False),
        sa.Column("forget_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("platform", "key"),
    )
    op.create_index("lift_platform_item_by_end", "lift_platform_item", ["forget_at"])


def _make_ways() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "lift_platform_inbox",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("platform", sa.String(length=32), nullable=False),
        sa.Column("stream", sa.String(length=8), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("records", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("platform", "stream", "seq", name="one_inbox_number"),
    )
    op.create_table(
        "lift_platform_lift",
        sa.Column("platform", sa.String(length=32), nullable=False),
        sa.Column("asset", sa.String(length=97), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.Column("codes", sa.Text(), nullable=False),
        sa.Column("basic", sa.Text(), nullable=False),
        sa.Column("basic_operation", sa.String(length=8), nullable=False),
        sa.Column("basic_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("platform", "asset"),
    )
    op.create_index("lift_platform_lift_by_receipt", "lift_platform_lift", ["received_at"])
    op.create_table(
        "dialect_unknown",
        sa.Column("dialect", sa.String(length=32), nullable=False),
        sa.Column("version", sa.String(length=16), nullable=False),
        sa.Column("what", sa.String(length=8), nullable=False),
        sa.Column("raw", sa.String(length=64), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("platform", sa.String(length=32), nullable=False),
        sa.Column("asset", sa.String(length=97), nullable=False),
        sa.Column("sample", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("dialect", "version", "what", "raw"),
    )
    op.create_index("dialect_unknown_by_time", "dialect_unknown", ["last_at"])
