"""Rescues: incidents with their record and deadlines, who can be sent, and the calls."""

import sqlalchemy as sa
from alembic import op

from cloud.model.tables import BigId, String, Text

revision = "state_0021"
down_revision = "state_0020"
branch_labels = None
depends_on = None

_MOMENTS = (
    *("verified_at", "dispatched_at", "accepted_at", "on_the_way_at", "arrived_at"),
    *("released_at", "called_back_at", "ended_at"),
)


def upgrade() -> None:
    """Make the tables."""
    _incident()
    _record()
    _units()
    _calls()


def _incident() -> None:
    op.create_table(
        "incident",
        sa.Column("id", BigId, primary_key=True, autoincrement=True),
        sa.Column("number", String(24), nullable=False),
        sa.Column("asset", String(97), nullable=False),
        sa.Column("state", String(16), nullable=False),
        sa.Column("source", String(8), nullable=False),
        sa.Column("drill", sa.Boolean, nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("alarm", sa.BigInteger),
        sa.Column("alert", String(64)),
        sa.Column("evidence", String(64)),
        sa.Column("people", sa.Integer),
        sa.Column("caller_name", String(64), nullable=False),
        sa.Column("caller_phone", String(64), nullable=False),
        sa.Column("trapped_at", sa.BigInteger),
        sa.Column("detected_at", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.BigInteger) for name in _MOMENTS),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("responded_at", sa.BigInteger),
        sa.Column("eta_at", sa.BigInteger),
        sa.Column("unit", String(64)),
        sa.Column("operator", String(64), nullable=False),
        sa.Column("merged_into", sa.BigInteger),
        sa.Column("released_people", sa.Integer),
        sa.Column("injured", sa.Integer),
        sa.Column("cause", String(32)),
        sa.Column("narrative", Text, nullable=False),
        sa.Column("satisfaction", sa.Integer),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("day", String(8), nullable=False),
        sa.Column("firm", String(32), nullable=False),
        sa.Column("brand", String(64), nullable=False),
        sa.Column("site_type", String(64), nullable=False),
        sa.Column("district", String(64), nullable=False),
        sa.Column("urgent_at", sa.BigInteger, nullable=False),
        sa.Column("open", String(1)),
        sa.UniqueConstraint("asset", "open", name="one_open_incident"),
        sa.UniqueConstraint("number", name="one_incident_of_a_number"),
    )
    for name, columns in (
        ("incident_by_urgency", ["open", "drill", "urgent_at", "id"]),
        ("incident_by_day", ["day", "id"]),
        ("incident_by_time", ["detected_at"]),
        ("incident_of_asset", ["asset", "id"]),
        ("incident_of_unit", ["unit", "id"]),
        ("incident_by_end", ["ended_at"]),
    ):
        op.create_index(name, "incident", columns)


def _record() -> None:
    op.create_table(
        "incident_entry",
        sa.Column("id", BigId, primary_key=True, autoincrement=True),
        sa.Column("incident", sa.BigInteger, nullable=False),
        sa.Column("what", String(24), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("by", String(64), nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("unit", String(64)),
        sa.Column("to", String(64), nullable=False),
        sa.Column("note", Text, nullable=False),
    )
    op.create_index("entry_of_incident", "incident_entry", ["incident", "id"])
    op.create_table(
        "incident_deadline",
        sa.Column("incident", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", String(16), nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("fired_at", sa.BigInteger),
        sa.Column("settled_at", sa.BigInteger),
        sa.Column("waiting", String(1)),
    )
    op.create_index("deadline_by_due", "incident_deadline", ["waiting", "due_at"])


def _units() -> None:
    op.create_table(
        "incident_unit",
        sa.Column("incident", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("unit", String(64), primary_key=True),
        sa.Column("organisation", String(32), nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("refused_at", sa.BigInteger),
    )
    op.create_index("incident_of_organisation", "incident_unit", ["organisation", "incident"])
    op.create_table(
        "rescue_unit",
        sa.Column("unit", String(64), primary_key=True),
        sa.Column("name", String(128), nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("phone", String(64), nullable=False),
        sa.Column("latitude", sa.Float),
        sa.Column("longitude", sa.Float),
        sa.Column("organisation", String(32)),
        sa.Column("on_duty", sa.Boolean, nullable=False),
    )
    op.create_index("rescue_unit_by_level", "rescue_unit", ["level"])
    op.create_index("rescue_unit_of_organisation", "rescue_unit", ["organisation"])


def _calls() -> None:
    op.create_table(
        "rescue_call",
        sa.Column("id", BigId, primary_key=True, autoincrement=True),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("rescue_code", String(32), nullable=False),
        sa.Column("asset", String(97)),
        sa.Column("incident", sa.BigInteger),
        sa.Column("outcome", String(16), nullable=False),
        sa.Column("people", sa.Integer),
        sa.Column("caller_name", String(64), nullable=False),
        sa.Column("caller_phone", String(64), nullable=False),
        sa.Column("note", Text, nullable=False),
        sa.Column("drill", sa.Boolean, nullable=False),
        sa.Column("by", String(64), nullable=False),
    )
    op.create_index("rescue_call_by_time", "rescue_call", ["recorded_at"])
    op.create_index("rescue_call_of_incident", "rescue_call", ["incident"])
