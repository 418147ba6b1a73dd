"""The first tables of the state database."""

import sqlalchemy as sa
from alembic import op

revision = "state_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    _alarm()
    _asset()
    _asset_state()
    _cursor()
    _feed()
    _finding()
    _gateway()
    _heard_asset()
    _rule_state()
    _secret()
    _token()


def _alarm() -> None:
    op.create_table(
        "alarm",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("alert", sa.String(length=64), nullable=False),
        sa.Column("asset", sa.String(length=97), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("evidence", sa.String(length=32), nullable=True),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("stale", sa.Boolean(), nullable=False),
        sa.Column("values", sa.Text(), nullable=False),
        sa.Column("annotations", sa.Text(), nullable=False),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_by", sa.String(length=64), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("returned_at", sa.BigInteger(), nullable=True),
        sa.Column("open", sa.String(length=1), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("alert", "asset", "open", name="one_open_alarm"),
    )
    op.create_index("alarm_by_asset", "alarm", ["asset", "raised_at"], unique=False)
    op.create_index("alarm_by_state", "alarm", ["state", "raised_at"], unique=False)


def _asset() -> None:
    op.create_table(
        "asset",
        sa.Column("asset_id", sa.String(length=97), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("gateways", sa.Text(), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("asset_id"),
    )


def _asset_state() -> None:
    op.create_table(
        "asset_state",
        sa.Column("asset", sa.String(length=97), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("asset"),
    )


def _cursor() -> None:
    op.create_table(
        "cursor",
        sa.Column("consumer", sa.String(length=16), nullable=False),
        sa.Column("partition", sa.String(length=16), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "partition"),
    )


def _feed() -> None:
    op.create_table(
        "feed",
        sa.Column(
            "offset",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("event", sa.String(length=16), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("offset"),
        sqlite_autoincrement=True,
    )


def _finding() -> None:
    op.create_table(
        "finding",
        sa.Column("asset_id", sa.String(length=97), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("asset_id", "reason"),
    )


def _gateway() -> None:
    op.create_table(
        "gateway",
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("online", sa.Boolean(), nullable=False),
        sa.Column("boot_id", sa.String(length=64), nullable=True),
        sa.Column("version", sa.String(length=64), nullable=True),
        sa.Column("site_sha256", sa.String(length=64), nullable=True),
        sa.Column("last_heard_at", sa.BigInteger(), nullable=True),
        sa.Column("counters", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("gateway_id"),
    )


def _heard_asset() -> None:
    op.create_table(
        "heard_asset",
        sa.Column("asset_id", sa.String(length=97), nullable=False),
        sa.Column("gateway", sa.String(length=64), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("asset_id"),
    )


def _rule_state() -> None:
    op.create_table(
        "rule_state",
        sa.Column("asset", sa.String(length=97), nullable=False),
        sa.Column("rule", sa.String(length=128), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("asset", "rule"),
    )


def _secret() -> None:
    op.create_table(
        "secret",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def _token() -> None:
    op.create_table(
        "token",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )
