"""Tables of the feed's receivers, and of what was issued as CAP messages."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from cloud.model.tables import BigId, state_metadata

receiver = Table(
    "receiver",
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("key", String(16), nullable=False, unique=True),  # stands in ids of messages
    Column("organisation", String(32), nullable=False),
    Column("principal", String(64), nullable=False),  # whose reading it is
    Column("account", BigInteger),
    Column("created_by", String(64), nullable=False),
    Column("name", String(100), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("address", Text, nullable=False),
    Column("filter", Text, nullable=False),  # JSON
    Column("options", Text, nullable=False),  # JSON
    Column("secrets", Text, nullable=False),  # JSON list, newest first, each sealed
    Column("password", Text, nullable=False),  # sealed; empty: none
    Column("state", String(16), nullable=False),  # active, paused, stopped
    Column("why", String(16)),
    Column("version", Integer, nullable=False),  # rises with each change by a person
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("tested_at", BigInteger, nullable=False),
    Column("last_success_at", BigInteger),
    Column("last_error_at", BigInteger),
    Column("last_error", Text, nullable=False),
    Column("delivered", BigInteger, nullable=False),
    Column("latency_ms", BigInteger),
    Column("gap_items", BigInteger, nullable=False),
    Column("gap_at", BigInteger),
    Column("rate_at", BigInteger, nullable=False),  # mail: when the hour began
    Column("rate_count", Integer, nullable=False),  # and how many went out in it
    Index("receiver_by_organisation", "organisation"),
    sqlite_autoincrement=True,  # topics and message ids name it: it is never used twice
)

receiver_lane = Table(
    "receiver_lane",  # how far a receiver was served: emergencies, and the rest
    state_metadata,
    Column("receiver_id", BigInteger, primary_key=True, autoincrement=False),
    Column("lane", String(8), primary_key=True),  # urgent, rest
    Column("offset", BigInteger, nullable=False),  # of the feed; up to here nothing is owed
    Column("attempts", Integer, nullable=False),
    Column("failing_since", BigInteger),
    Column("retry_at", BigInteger),
    Column("waiting", Integer, nullable=False),
    Column("waiting_more", Boolean, nullable=False),
    Column("oldest_at", BigInteger),
)

receiver_open = Table(
    "receiver_open",  # what was told to a receiver as going on, until it is told as ended
    state_metadata,
    Column("receiver_id", BigInteger, primary_key=True, autoincrement=False),
    Column("about", String(48), primary_key=True),  # such as alarm:12
    Column("offset", BigInteger, nullable=False),
    Column("data", Text, nullable=False),  # the item, JSON
)

cap_message = Table(
    "cap_message",  # what was issued for each item of the feed
    state_metadata,
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("about", String(48), nullable=False),
    Column("asset", String(97), nullable=False),
    Column("kind", String(8), nullable=False),  # Alert, Update, Cancel, Ack; empty: none
    Column("chain", BigInteger, nullable=False),  # offset of its Alert
    Column("sent_at", BigInteger, nullable=False),
    Column("place", Text, nullable=False),  # JSON, as it was known then
    Index("cap_by_about", "about", "offset"),
    Index("cap_by_sent", "sent_at"),
)
