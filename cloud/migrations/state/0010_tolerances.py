"""What an organisation's trace documents are held to."""

import sqlalchemy as sa
from alembic import op

revision = "state_0010"
down_revision = "state_0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    text = sa.String(length=32)
    column = sa.Column("tolerances", text, nullable=False, server_default="standard")
    op.add_column("organisation", column)
