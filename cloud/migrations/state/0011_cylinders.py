"""Gas cylinders: their files, codes, changes, blocks, inspections, vehicles, permits, imports."""

import sqlalchemy as sa
from alembic import op

revision = "state_0011"
down_revision = "state_0010"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _cylinder() -> None:
    op.create_table(
        "cylinder",
        sa.Column("asset_id", sa.String(length=97), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("blocks", sa.Integer(), nullable=False),
        sa.Column("filler", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("gas", sa.String(length=32), nullable=False),
        sa.Column("components", sa.Text(), nullable=False),
        sa.Column("standard", sa.String(length=64), nullable=False),
        sa.Column("maker", sa.String(length=128), nullable=False),
        sa.Column("maker_licence", sa.String(length=64), nullable=False),
        sa.Column("serial_number", sa.String(length=64), nullable=False),
        sa.Column("manufactured_on", sa.String(length=10), nullable=True),
        sa.Column("design_life_years", sa.Integer(), nullable=True),
        sa.Column("working_pressure_mpa", sa.Float(), nullable=True),
        sa.Column("test_pressure_mpa", sa.Float(), nullable=True),
        sa.Column("water_capacity_l", sa.Float(), nullable=True),
        sa.Column("tare_kg", sa.Float(), nullable=True),
        sa.Column("allowable_fill_kg", sa.Float(), nullable=True),
        sa.Column("use_registration", sa.String(length=64), nullable=False),
        sa.Column("vehicle", sa.String(length=32), nullable=False),
        sa.Column("in_vehicle", sa.Boolean(), nullable=False),
        sa.Column("valve", sa.Text(), nullable=False),
        sa.Column("documents", sa.Text(), nullable=False),
        sa.Column("inspected_on", sa.String(length=10), nullable=True),
        sa.Column("inspection_due_on", sa.String(length=10), nullable=True),
        sa.Column("life_extended", sa.Boolean(), nullable=False),
        sa.Column("purged", sa.Boolean(), nullable=False),
        sa.Column("last_filled_on", sa.String(length=10), nullable=True),
        sa.Column("scrapped_how", sa.String(length=32), nullable=False),
        sa.Column("scrapped_on", sa.String(length=10), nullable=True),
        sa.Column("scrapped_by", sa.String(length=64), nullable=False),
        sa.Column("scrapped_at", sa.BigInteger(), nullable=True),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("asset_id"),
        sa.UniqueConstraint("change"),
    )
    op.create_index("cylinder_by_filler", "cylinder", ["filler", "change"])
    op.create_index("cylinder_by_maker", "cylinder", ["serial_number", "maker"])
    op.create_index("cylinder_by_vehicle", "cylinder", ["vehicle"])
    op.create_index("cylinder_in_vehicle", "cylinder", ["in_vehicle", "change"])


def _cylinder_code() -> None:
    op.create_table(
        "cylinder_code",
        sa.Column("scheme", sa.String(length=32), nullable=False),
        sa.Column("value", sa.String(length=128), nullable=False),
        sa.Column("asset_id", sa.String(length=97), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("scheme", "value"),
    )
    op.create_index("code_of_cylinder", "cylinder_code", ["asset_id"])
    op.create_index("code_by_value", "cylinder_code", ["value"])


def _cylinder_head() -> None:
    op.create_table(
        "cylinder_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _cylinder_change() -> None:
    op.create_table(
        "cylinder_change",
        sa.Column("change", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("asset_id", sa.String(length=97), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("organisation", sa.String(length=32), nullable=False),
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("change"),
    )
    op.create_index("change_of_cylinder", "cylinder_change", ["asset_id", "change"])


def _cylinder_gone() -> None:
    op.create_table(
        "cylinder_gone",
        sa.Column("filler", sa.String(length=32), nullable=False),
        sa.Column("asset_id", sa.String(length=97), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("filler", "asset_id"),
    )
    op.create_index("cylinder_gone_by_change", "cylinder_gone", ["filler", "change"])


def _cylinder_block() -> None:
    op.create_table(
        "cylinder_block",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("asset_id", sa.String(length=97), nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("organisation", sa.String(length=32), nullable=False),
        sa.Column("blocked_at", sa.BigInteger(), nullable=False),
        sa.Column("lifted_at", sa.BigInteger(), nullable=True),
        sa.Column("lifted_by", sa.String(length=64), nullable=False),
        sa.Column("lifted_reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("block_of_cylinder", "cylinder_block", ["asset_id", "id"])


def _cylinder_inspection() -> None:
    op.create_table(
        "cylinder_inspection",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("asset_id", sa.String(length=97), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("inspected_on", sa.String(length=10), nullable=False),
        sa.Column("result", sa.String(length=16), nullable=False),
        sa.Column("next_due_on", sa.String(length=10), nullable=True),
        sa.Column("body", sa.String(length=32), nullable=False),
        sa.Column("certificate", sa.String(length=64), nullable=False),
        sa.Column("findings", sa.Text(), nullable=False),
        sa.Column("life_extended", sa.Boolean(), nullable=False),
        sa.Column("valve_replaced", sa.Boolean(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("documents", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger(), nullable=True),
        sa.Column("withdrawn_by", sa.String(length=64), nullable=False),
        sa.Column("withdrawn_reason", sa.Text(), nullable=False),
        sa.Column("open", sa.String(length=1), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "asset_id", "inspected_on", "kind", "open", name="one_inspection_a_day"
        ),
    )
    op.create_index("inspection_by_body", "cylinder_inspection", ["body", "recorded_at"])


def _cylinder_vehicle() -> None:
    op.create_table(
        "cylinder_vehicle",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("plate", sa.String(length=16), nullable=False),
        sa.Column("taxi", sa.Boolean(), nullable=False),
        sa.Column("installer", sa.String(length=128), nullable=False),
        sa.Column("installed_on", sa.String(length=10), nullable=True),
        sa.Column("installation_certificate", sa.String(length=64), nullable=False),
        sa.Column("use_registration", sa.String(length=64), nullable=False),
        sa.Column("certificate_valid_until", sa.String(length=10), nullable=True),
        sa.Column("scrapped_on", sa.String(length=10), nullable=True),
        sa.Column("scrapped_at", sa.BigInteger(), nullable=True),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("organisation", sa.String(length=32), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _cylinder_permit() -> None:
    op.create_table(
        "cylinder_permit",
        sa.Column("organisation", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("items", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.String(length=10), nullable=False),
        sa.Column("valid_until", sa.String(length=10), nullable=False),
        sa.Column("issuer", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "kind", "number"),
    )


def _cylinder_import() -> None:
    op.create_table(
        "cylinder_import",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
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
        sa.UniqueConstraint("organisation", "sha256", "open", name="one_import_at_a_time"),
    )
    op.create_index("import_by_end", "cylinder_import", ["ended_at"])
    op.create_index("import_by_organisation", "cylinder_import", ["organisation", "id"])


def _cylinder_import_refusal() -> None:
    op.create_table(
        "cylinder_import_refusal",
        sa.Column("import_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("field", sa.String(length=48), nullable=False),
        sa.Column("expected", sa.Text(), nullable=False),
        sa.Column("found", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("import_id", "line", "field"),
    )


def upgrade() -> None:
    """Make the tables."""
    _cylinder()
    _cylinder_code()
    _cylinder_head()
    _cylinder_change()
    _cylinder_gone()
    _cylinder_block()
    _cylinder_inspection()
    _cylinder_vehicle()
    _cylinder_permit()
    _cylinder_import()
    _cylinder_import_refusal()
