"""The tables of rescues; in the state. Moments are ms since 1970 UTC."""

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, Table, UniqueConstraint

from cloud.model.tables import BigId, String, Text, state_metadata

incident = Table(
    "incident",  # one rescue each; see model/incident.py
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("number", String(24), nullable=False),
    Column("asset", String(97), nullable=False),
    Column("state", String(16), nullable=False),
    Column("source", String(8), nullable=False),
    Column("drill", Boolean, nullable=False),
    Column("level", Integer, nullable=False),
    Column("alarm", BigInteger),
    Column("alert", String(64)),
    Column("evidence", String(64)),
    Column("people", Integer),
    Column("caller_name", String(64), nullable=False),
    Column("caller_phone", String(64), nullable=False),
    Column("trapped_at", BigInteger),
    Column("detected_at", BigInteger, nullable=False),
    Column("verified_at", BigInteger),
    Column("dispatched_at", BigInteger),
    Column("accepted_at", BigInteger),
    Column("on_the_way_at", BigInteger),
    Column("arrived_at", BigInteger),
    Column("released_at", BigInteger),
    Column("called_back_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("changed_at", BigInteger, nullable=False),
    Column("responded_at", BigInteger),
    Column("eta_at", BigInteger),
    Column("unit", String(64)),
    Column("operator", String(64), nullable=False),
    Column("merged_into", BigInteger),
    Column("released_people", Integer),
    Column("injured", Integer),
    Column("cause", String(32)),
    Column("narrative", Text, nullable=False),
    Column("satisfaction", Integer),
    Column("version", BigInteger, nullable=False),
    # what only queries and statistics need, as it was when the rescue began
    Column("day", String(8), nullable=False),  # of the city
    Column("firm", String(32), nullable=False),  # organisation that maintains the lift
    Column("brand", String(64), nullable=False),
    Column("site_type", String(64), nullable=False),
    Column("district", String(64), nullable=False),
    Column("urgent_at", BigInteger, nullable=False),  # its earliest deadline that is not settled
    Column("open", String(1)),  # 'y' until ended
    UniqueConstraint("asset", "open", name="one_open_incident"),
    UniqueConstraint("number", name="one_incident_of_a_number"),
    Index("incident_by_urgency", "open", "drill", "urgent_at", "id"),
    Index("incident_by_day", "day", "id"),
    Index("incident_by_time", "detected_at"),
    Index("incident_of_asset", "asset", "id"),
    Index("incident_of_unit", "unit", "id"),
    Index("incident_by_end", "ended_at"),
)

incident_entry = Table(
    "incident_entry",  # the record: never changed
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("incident", BigInteger, nullable=False),
    Column("what", String(24), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("by", String(64), nullable=False),
    Column("level", Integer, nullable=False),
    Column("unit", String(64)),
    Column("to", String(64), nullable=False),
    Column("note", Text, nullable=False),
    Index("entry_of_incident", "incident", "id"),
)

incident_deadline = Table(
    "incident_deadline",  # each fires once, in the transaction that writes when it did
    state_metadata,
    Column("incident", BigInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("level", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("fired_at", BigInteger),
    Column("settled_at", BigInteger),
    Column("waiting", String(1)),  # 'y' until it fired or was settled
    Index("deadline_by_due", "waiting", "due_at"),
)

incident_unit = Table(
    "incident_unit",  # who was asked
    state_metadata,
    Column("incident", BigInteger, primary_key=True, autoincrement=False),
    Column("unit", String(64), primary_key=True),
    Column("organisation", String(32), nullable=False),  # empty: nobody's accounts speak for it
    Column("level", Integer, nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("refused_at", BigInteger),
    Index("incident_of_organisation", "organisation", "incident"),
)

rescue_unit = Table(
    "rescue_unit",
    state_metadata,
    Column("unit", String(64), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("level", Integer, nullable=False),
    Column("phone", String(64), nullable=False),
    Column("latitude", Float),
    Column("longitude", Float),
    Column("organisation", String(32)),
    Column("on_duty", Boolean, nullable=False),
    Index("rescue_unit_by_level", "level"),
    Index("rescue_unit_of_organisation", "organisation"),
)

rescue_call = Table(
    "rescue_call",  # every call that was taken down, also one whose lift nobody knows
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("recorded_at", BigInteger, nullable=False),
    Column("rescue_code", String(32), nullable=False),
    Column("asset", String(97)),
    Column("incident", BigInteger),
    Column("outcome", String(16), nullable=False),  # opened, joined, unknown_code, …
    Column("people", Integer),
    Column("caller_name", String(64), nullable=False),
    Column("caller_phone", String(64), nullable=False),
    Column("note", Text, nullable=False),
    Column("drill", Boolean, nullable=False),
    Column("by", String(64), nullable=False),
    Index("rescue_call_by_time", "recorded_at"),
    Index("rescue_call_of_incident", "incident"),
)
