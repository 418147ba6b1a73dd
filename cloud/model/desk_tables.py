"""The tables of the rescue centre's desk; in the state. Times are ms since 1970."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table

from cloud.model.tables import BigId, String, Text, state_metadata

desk_link = Table(
    "desk_link",  # a link that was given to a telephone; its token is kept as a hash only
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("incident", BigInteger, nullable=False),
    Column("kind", String(8), nullable=False),
    Column("unit", String(64)),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("opened_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("revoked_by", String(64), nullable=False),
    Column("said", Text, nullable=False),  # keys of the last buttons that it pressed
    Index("desk_link_of_incident", "incident", "id"),
    Index("desk_link_by_age", "created_at"),
)

desk_handover = Table(
    "desk_handover",
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("organisation", String(32), nullable=False),
    Column("by", String(64), nullable=False),
    Column("to", String(64), nullable=False),
    Column("note", Text, nullable=False),
    Column("from_at", BigInteger, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("open_numbers", Text, nullable=False),  # JSON list
    Column("opened", Integer, nullable=False),
    Column("ended", Integer, nullable=False),
    Index("desk_handover_of_organisation", "organisation", "id"),
    Index("desk_handover_by_age", "made_at"),
)
