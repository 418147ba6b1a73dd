"""Photos of inspections that were made with handhelds."""

import sqlalchemy as sa
from alembic import op

revision = "state_0017"
down_revision = "state_0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "handheld_photo",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("organisation", sa.String(length=32), nullable=False),
        sa.Column("asset", sa.String(length=97), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("named_at", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.String(length=32), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=True),
        sa.Column("carried_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("organisation", "sha256", name="one_handheld_photo"),
    )
    op.create_index("handheld_photo_by_name", "handheld_photo", ["named_at"])
    op.create_index("handheld_photo_by_sha256", "handheld_photo", ["sha256"])
