"""Who may see an asset: its place, its category, its parties and its gateways."""

import json

import sqlalchemy as sa
from alembic import op

revision = "state_0004"
down_revision = "state_0003"
branch_labels = None
depends_on = None

SPECIAL_EQUIPMENT = ("elevator", "cylinder")
"""Kinds that had a category when this was written; later ones get it when they are registered."""


def upgrade() -> None:
    """Make the tables, and fill them from what is registered."""
    _make()
    _fill(op.get_bind())


def _make() -> None:
    for name, length in (("district", 64), ("category", 32)):
        text = sa.String(length=length)
        op.add_column("asset", sa.Column(name, text, nullable=False, server_default=""))
    op.create_index("asset_by_place", "asset", ["district", "category"], unique=False)
    op.create_table(
        "asset_party",
        sa.Column("asset_id", sa.String(length=97), nullable=False),
        sa.Column("part", sa.String(length=32), nullable=False),
        sa.Column("organisation", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("asset_id", "part"),
    )
    op.create_index("party_of_asset", "asset_party", ["organisation", "asset_id"], unique=False)
    op.create_table(
        "asset_gateway",
        sa.Column("asset_id", sa.String(length=97), nullable=False),
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("asset_id", "gateway_id"),
    )
    op.create_index("asset_of_gateway", "asset_gateway", ["gateway_id", "asset_id"], unique=False)


def _fill(connection: sa.Connection) -> None:
    asset = sa.table(
        "asset",
        *map(sa.column, ("asset_id", "kind", "gateways", "attributes", "district", "category")),
    )
    asset_gateway = sa.table("asset_gateway", sa.column("asset_id"), sa.column("gateway_id"))
    for row in connection.execute(sa.select(asset)).all():
        district = json.loads(row.attributes).get("district", "")
        district = district[:64] if isinstance(district, str) else ""
        category = "special_equipment" if row.kind in SPECIAL_EQUIPMENT else ""
        change = sa.update(asset).where(asset.c.asset_id == row.asset_id)
        connection.execute(change.values(district=district, category=category))
        for gateway in sorted(set(json.loads(row.gateways))):
            connection.execute(
                sa.insert(asset_gateway).values(asset_id=row.asset_id, gateway_id=gateway)
            )
