"""Fillings of gas cylinders as gateways told them; in the state.

Moments are ms since 1970 UTC, days are local. A filling is made of its steps alone, so that they
may come in any order.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    Table,
    UniqueConstraint,
    text,
)

from cloud.model.tables import BigId, String, Text, state_metadata

_DECIDED = text("decision IS NOT NULL")

cylinder_fill_step = Table(
    "cylinder_fill_step",  # one record of a gate, as it came; its key is its place in the log
    state_metadata,
    Column("gateway", String(64), primary_key=True),
    Column("spool", String(32), primary_key=True),
    Column("stream", String(8), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("record_index", Integer, primary_key=True, autoincrement=False),
    Column("gate", String(128), nullable=False),
    Column("number", BigInteger, nullable=False),  # counts the records of its gate
    Column("opening", BigInteger),  # of its filling; NULL: it belongs to none
    Column("step", String(16), nullable=False),
    Column("asset_id", String(128), nullable=False),  # empty: nobody knew which cylinder
    Column("filler", String(128), nullable=False),  # as the gateway told it
    Column("purged", Boolean, nullable=False),  # somebody answered that it was
    Column("day", String(10)),  # NULL: nobody knows it
    Column("observed_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("time_unknown", Boolean, nullable=False),
    Column("decision", String(16)),  # of a `decided` step; NULL: another step
    Column("body", Text, nullable=False),  # JSON, the whole record
    Index("fill_step_of_opening", "gateway", "gate", "opening"),
    Index("fill_step_of_cylinder", "asset_id", "observed_at"),
    Index("fill_step_by_receipt", "received_at"),
    Index("decision_by_time", "observed_at", sqlite_where=_DECIDED, postgresql_where=_DECIDED),
    Index(
        "decision_by_filler",
        *("filler", "observed_at"),
        sqlite_where=_DECIDED,
        postgresql_where=_DECIDED,
    ),
)

cylinder_fill = Table(
    "cylinder_fill",  # what the steps of one opening of a gun say together
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("change", BigInteger, nullable=False, unique=True),  # its last one: rises with each
    Column("gateway", String(64), nullable=False),
    Column("gate", String(128), nullable=False),
    Column("opening", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("asset_id", String(128), nullable=False),
    Column("filler", String(128), nullable=False),  # as the gateway told it
    Column("gas", String(128), nullable=False),
    Column("operator", String(128), nullable=False),
    Column("before_kg", Float),
    Column("after_kg", Float),
    Column("net_kg", Float),
    Column("limit_kg", Float),
    Column("decision", String(16)),
    Column("reasons", Text, nullable=False),  # JSON list
    Column("rules_version", String(64), nullable=False),
    Column("snapshot_version", String(64), nullable=False),
    Column("judged_on", String(10)),
    Column("time_source", String(16), nullable=False),
    Column("checks", Text, nullable=False),  # JSON object
    Column("overruled", Text, nullable=False),  # JSON object or null
    Column("overruled_by", String(128), nullable=False),  # empty: nobody
    Column("codes", Text, nullable=False),  # JSON list
    Column("faults", Text, nullable=False),  # JSON list
    Column("ended_by", String(64), nullable=False),
    Column("cleared_by", String(128), nullable=False),
    Column("began_at", BigInteger, nullable=False),
    Column("released_at", BigInteger),  # NULL: that record has not come
    Column("ended_at", BigInteger),
    Column("filled_on", String(10)),  # NULL: it does not count as a filling of the cylinder
    Column("purged", Boolean, nullable=False),  # somebody answered that it was
    Column("time_unknown", Boolean, nullable=False),
    Column("steps", Integer, nullable=False),
    Column("received_at", BigInteger, nullable=False),  # of its first record
    UniqueConstraint("gateway", "gate", "opening", name="one_fill_an_opening"),
    Index("fill_of_cylinder", "asset_id", "began_at", "id"),
    Index("fill_by_filler", "filler", "began_at", "id"),
    Index("fill_by_time", "began_at", "id"),
    Index("fill_by_receipt", "received_at"),
)
