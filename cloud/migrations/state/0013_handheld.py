"""Records of handhelds."""

import sqlalchemy as sa
from alembic import op

revision = "state_0013"
down_revision = "state_0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "handheld_record",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("store", sa.String(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=16), nullable=False),
        sa.Column("account", sa.BigInteger(), nullable=True),
        sa.Column("organisation", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("asset", sa.String(length=97), nullable=False),
        sa.Column("tag_uid", sa.String(length=20), nullable=False),
        sa.Column("observed_at", sa.BigInteger(), nullable=True),
        sa.Column("time_source", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("carried_by", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("expected", sa.Text(), nullable=False),
        sa.Column("found", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("store", "number", "sha256", name="one_handheld_record"),
    )
    for name, columns in {
        "handheld_record_of_asset": ["asset", "kind", "id"],
        "handheld_record_of_tag": ["tag_uid"],
        "handheld_record_of_organisation": ["organisation", "id"],
        "handheld_record_by_receipt": ["received_at"],
    }.items():
        op.create_index(name, "handheld_record", columns)
