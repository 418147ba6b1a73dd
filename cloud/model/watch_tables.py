"""The tables of the watch over cylinders; in the state.

Days are local, `2026-03-15`; moments are ms since 1970 UTC.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, UniqueConstraint

from cloud.model.tables import BigId, String, Text, state_metadata

cylinder_case = Table(
    "cylinder_case",  # what stands, or stood, on a work list; its key is raised once for ever
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("kind", String(24), nullable=False),
    Column("subject", String(97), nullable=False),  # asset id of a cylinder, or gateway:ID
    Column("key", String(96), nullable=False),
    Column("day", String(10), nullable=False),
    Column("stage_days", Integer),
    Column("station", String(32), nullable=False),  # organisation where it happened; empty: nowhere
    Column("facts", Text, nullable=False),  # JSON object
    Column("raised_at", BigInteger, nullable=False),
    Column("alarm", Boolean, nullable=False),  # it went to the alarm desk, too
    Column("ended_at", BigInteger),
    Column("ended_by", String(64), nullable=False),  # empty: by itself
    Column("note", Text, nullable=False),
    Column("open", String(1)),  # 'y' until ended
    UniqueConstraint("subject", "kind", "key", name="one_case_of_a_key"),
    Index("case_by_day", "open", "day", "id"),
    Index("case_by_kind", "kind", "open", "day", "id"),
    Index("case_of_station", "station", "kind", "raised_at"),
    Index("case_by_end", "ended_at"),
)

cylinder_sighting = Table(
    "cylinder_sighting",  # where a cylinder was read or filled; the same one twice is one row
    state_metadata,
    Column("subject", String(97), primary_key=True),
    Column("observed_at", BigInteger, primary_key=True, autoincrement=False),
    Column("gateway", String(64), primary_key=True),
    Column("place", String(64), nullable=False),  # its station where that is known
    Column("step", String(32), nullable=False),
    Column("by_scan", Boolean, primary_key=True),  # else by a filling
    Column("counter", BigInteger),  # of its chip
    Column("received_at", BigInteger, nullable=False),
    Index("sighting_by_step", "step", "observed_at"),
    Index("sighting_by_gateway", "gateway", "observed_at"),
    Index("sighting_by_receipt", "received_at"),
)

cylinder_watch = Table(
    "cylinder_watch",  # how far the watch has come, by what it follows
    state_metadata,
    Column("name", String(32), primary_key=True),
    Column("day", String(10), nullable=False),  # local, of the last whole look; empty: none yet
    Column("position", BigInteger, nullable=False),
)

station_snapshot = Table(
    "station_snapshot",  # what each gateway of a station was seen to have
    state_metadata,
    Column("gateway", String(64), primary_key=True),
    Column("station", String(32), nullable=False),
    Column("number", BigInteger, nullable=False),  # of the snapshot that it had when it asked
    Column("asked_at", BigInteger, nullable=False),
)

cylinder_notice_to = Table(
    "cylinder_notice_to",  # who wants to be told, by whom it was asked
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("organisation", String(32), nullable=False),
    Column("principal", String(64), nullable=False),  # whose reading it is
    Column("account", BigInteger),
    Column("channel", String(8), nullable=False),  # mail, webhook
    Column("address", Text, nullable=False),
    Column("language", String(2), nullable=False),
    Column("secret", Text, nullable=False),  # sealed; empty: a webhook is not signed
    Column("created_at", BigInteger, nullable=False),
    Column("told_case", BigInteger, nullable=False),  # up to which case it was told
    Column("told_day", String(10), nullable=False),  # of its last daily notice
    Column("told_at", BigInteger, nullable=False),
    Index("notice_to_by_organisation", "organisation"),
)

cylinder_notice = Table(
    "cylinder_notice",  # one that is being sent, or was; of each address one at a time
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("address_id", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # JSON
    Column("made_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("retry_at", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),  # waiting, sent, given_up
    Column("error", Text, nullable=False),
    Column("ended_at", BigInteger),
    Column("open", String(1)),  # 'y' while waiting
    UniqueConstraint("address_id", "open", name="one_notice_at_a_time"),
    Index("notice_by_end", "ended_at"),
)
