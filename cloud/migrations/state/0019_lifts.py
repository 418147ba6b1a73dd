"""The files of lifts: static data, the signed record, what is overdue, imports."""

import sqlalchemy as sa
from alembic import op

revision = "state_0019"
down_revision = "state_0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    _files()
    _cases(number)
    _imports(number)


def _files() -> None:
    op.create_table(
        "lift",
        sa.Column("asset_id", sa.String(length=97), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("registration_code", sa.String(length=64), nullable=False),
        sa.Column("equipment_code", sa.String(length=64), nullable=False),
        sa.Column("rescue_code", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("next_due_on", sa.String(length=10), nullable=False),
        sa.Column("next_kind", sa.String(length=24), nullable=False),
        sa.Column("overdue", sa.Integer(), nullable=False),
        sa.Column("judged_on", sa.String(length=10), nullable=False),
        sa.Column("scrapped_at", sa.BigInteger(), nullable=True),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("asset_id"),
    )
    op.create_index("lift_by_due", "lift", ["next_due_on", "asset_id"])
    op.create_index("lift_by_equipment", "lift", ["equipment_code"])
    op.create_index("lift_by_judged", "lift", ["judged_on", "asset_id"])
    op.create_index("lift_by_registration", "lift", ["registration_code"])
    op.create_index("lift_by_rescue_code", "lift", ["rescue_code"])
    op.create_table(
        "lift_record",
        sa.Column("asset_id", sa.String(length=97), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("signatures", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("happened_on", sa.String(length=10), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("about", sa.Integer(), nullable=False),
        sa.Column("organisation", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("asset_id", "seq"),
    )
    op.create_index("lift_record_about", "lift_record", ["asset_id", "about"])


def _cases(number: sa.types.TypeEngine[int]) -> None:
    op.create_table(
        "lift_case",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("asset_id", sa.String(length=97), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("alarm", sa.Boolean(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("open", sa.String(length=1), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("asset_id", "kind", "open", name="one_open_lift_case"),
    )
    op.create_index("lift_case_by_day", "lift_case", ["open", "day", "id"])
    op.create_index("lift_case_by_end", "lift_case", ["ended_at"])
    op.create_index("lift_case_by_kind", "lift_case", ["kind", "raised_at"])


def _imports(number: sa.types.TypeEngine[int]) -> None:
    op.create_table(
        "lift_import",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("organisation", sa.String(length=32), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("rights", sa.Text(), nullable=False),
        sa.Column("form", sa.String(length=8), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("unchanged", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("open", sa.String(length=1), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("organisation", "sha256", "open", name="one_lift_import_at_a_time"),
    )
    op.create_index("lift_import_by_end", "lift_import", ["ended_at"])
    op.create_index("lift_import_by_organisation", "lift_import", ["organisation", "id"])
    op.create_table(
        "lift_import_refusal",
        sa.Column("import_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("field", sa.String(length=48), nullable=False),
        sa.Column("expected", sa.Text(), nullable=False),
        sa.Column("found", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("import_id", "line", "field"),
    )
