"""What gates decided is found by who fills, and by time."""

import sqlalchemy as sa
from alembic import op

revision = "state_0018"
down_revision = "state_0017"
branch_labels = None
depends_on = None

_AT = {"sqlite": "instr", "postgresql": "strpos"}
_LEAD = '"decision":"'
"""Before the word in a record's JSON; within a text of its own the quotes would be escaped."""


def upgrade() -> None:
    """Add the word of a decision to its step."""
    op.add_column("cylinder_fill_step", sa.Column("decision", sa.String(length=16), nullable=True))
    at = _AT[op.get_bind().dialect.name]
    op.execute(
        f"UPDATE cylinder_fill_step SET decision = CASE "  # noqa: S608
        f"substr(body, {at}(body, '{_LEAD}') + {len(_LEAD)}, 4) WHEN 'fill' THEN 'fill' "
        f"WHEN 'do_n' THEN 'do_not_fill' WHEN 'cann' THEN 'cannot_decide' END "
        f"WHERE step = 'decided'"
    )
    where = sa.text("decision IS NOT NULL")
    for name, columns in (
        ("decision_by_time", ["observed_at"]),
        ("decision_by_filler", ["filler", "observed_at"]),
    ):
        op.create_index(
            name, "cylinder_fill_step", columns, sqlite_where=where, postgresql_where=where
        )
