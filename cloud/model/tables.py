"""The tables of both databases. Times are ms since 1970 UTC in BIGINT columns."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy import String as AnyString
from sqlalchemy import Text as AnyText

BigId = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only INTEGER keys


class String(TypeDecorator[str]):
    """Text without NUL, which PostgreSQL refuses and a hostile message may hold."""

    impl = AnyString
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        """Write U+FFFD in its place."""
        del dialect
        return value.replace("\0", "\ufffd") if value is not None and "\0" in value else value


class Text(String):
    """The same without a bound."""

    impl = AnyText
    cache_ok = True


# --- the log: written by the ingester alone --------------------------------------------------

log_metadata = MetaData()

log = Table(
    "log",
    log_metadata,
    Column("partition", String(16), primary_key=True),
    Column("position", BigId, primary_key=True, autoincrement=False),
    Column("committed_at", BigInteger, nullable=False),
    Column("keys", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

log_head = Table(
    "log_head",  # where a partition stood when it was trimmed: positions never start again
    log_metadata,
    Column("partition", String(16), primary_key=True),
    Column("position", BigInteger, nullable=False),
)

watermark = Table(
    "watermark",
    log_metadata,
    Column("gateway", String(64), primary_key=True),
    Column("spool", String(32), primary_key=True),
    Column("stream", String(8), primary_key=True),
    Column("settled", Text, nullable=False),  # JSON [[low, high], ...]
    Column("lost", Text, nullable=False),  # JSON [[low, high], ...] declared lost
    Column("batches", BigInteger, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("duplicates", BigInteger, nullable=False),
    Column("lost_records", BigInteger, nullable=False),
    Column("dead_letters", BigInteger, nullable=False),
    Column("unknown_tail", Boolean, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
)

dead_letter = Table(
    "dead_letter",
    log_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("received_at", BigInteger, nullable=False),
    Column("consumer", String(16), nullable=False),  # ingest, telemetry, rules
    Column("topic", Text, nullable=False),
    Column("gateway", String(64)),
    Column("spool", String(32)),
    Column("stream", String(8)),
    Column("seq", BigInteger),
    Column("record_index", Integer),
    Column("reason", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("dead_letter_by_gateway", "gateway", "received_at"),
)

boot = Table(
    "boot",
    log_metadata,
    Column("gateway", String(64), primary_key=True),
    Column("boot_id", String(64), primary_key=True),
    Column("offset_ms", BigInteger, nullable=False),
    Column("learned_at", BigInteger, nullable=False),
)

ownership = Table(
    "ownership",  # who writes what: a shard group, or the consumers; see model/ownership.py
    log_metadata,
    Column("name", String(16), primary_key=True),
    Column("owner", String(64)),
    Column("epoch", BigInteger, nullable=False),
    Column("beat", BigInteger, nullable=False),
    Column("wanted", String(64)),
)

# --- the state: registry, rules, alarms, feed, access ----------------------------------------

state_metadata = MetaData()

asset = Table(
    "asset",
    state_metadata,
    Column("asset_id", String(97), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("name", Text, nullable=False),
    Column("gateways", Text, nullable=False),  # JSON list
    Column("attributes", Text, nullable=False),  # JSON object
    Column("district", String(64), nullable=False),  # the attribute; empty: not placed
    Column("category", String(32), nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index("asset_by_place", "district", "category"),
)

asset_party = Table(
    "asset_party",
    state_metadata,
    Column("asset_id", String(97), primary_key=True),
    Column("part", String(32), primary_key=True),
    Column("organisation", String(32), nullable=False),
    Index("party_of_asset", "organisation", "asset_id"),
)

asset_gateway = Table(
    "asset_gateway",  # the asset's list once more, to be asked from the other end
    state_metadata,
    Column("asset_id", String(97), primary_key=True),
    Column("gateway_id", String(64), primary_key=True),
    Index("asset_of_gateway", "gateway_id", "asset_id"),
)

heard_asset = Table(
    "heard_asset",
    state_metadata,
    Column("asset_id", String(97), primary_key=True),
    Column("gateway", String(64), nullable=False),
    Column("first_at", BigInteger, nullable=False),
)

finding = Table(
    "finding",
    state_metadata,
    Column("asset_id", String(97), primary_key=True),
    Column("reason", String(32), primary_key=True),
    Column("detail", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("resolved_at", BigInteger),
)

gateway = Table(
    "gateway",
    state_metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("online", Boolean, nullable=False),
    Column("boot_id", String(64)),
    Column("version", String(64)),
    Column("site_sha256", String(64)),
    Column("last_heard_at", BigInteger),
    Column("counters", Text, nullable=False),  # JSON object of its last status record
)

scan = Table(
    "scan",
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("gateway", String(64), nullable=False),
    Column("spool", String(32), nullable=False),
    Column("stream", String(8), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("record_index", Integer, nullable=False),
    Column("reader", String(128), nullable=False),
    Column("step", String(128)),
    Column("observed_at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("time_unknown", Boolean, nullable=False),
    Column("codes", Text, nullable=False),  # JSON [{"scheme", "value"}, ...]
    Column("findings", Text, nullable=False),  # JSON list of words
    Column("verdict", Text),  # JSON object
    Column("operator", Text),
    Column("rssi_dbm", Integer),
    UniqueConstraint(
        "gateway", "spool", "stream", "seq", "record_index", name="one_scan_per_record"
    ),
    Index("scan_by_gateway", "gateway", "id"),
    Index("scan_by_receipt", "received_at"),
)

cursor = Table(
    "cursor",
    state_metadata,
    Column("consumer", String(16), primary_key=True),
    Column("partition", String(16), primary_key=True),
    Column("position", BigInteger, nullable=False),
)

asset_state = Table(
    "asset_state",
    state_metadata,
    Column("asset", String(97), primary_key=True),
    Column("state", LargeBinary, nullable=False),  # newest values, see cloud/rules
)

rule_state = Table(
    "rule_state",
    state_metadata,
    Column("asset", String(97), primary_key=True),
    Column("rule", String(128), primary_key=True),
    Column("state", LargeBinary, nullable=False),  # pending or firing, with its deadline
)

alarm = Table(
    "alarm",
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("alert", String(64), nullable=False),
    Column("asset", String(97), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("state", String(40), nullable=False),
    Column("raised_at", BigInteger, nullable=False),
    Column("observed_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("evidence", String(32)),
    Column("late", Boolean, nullable=False),
    Column("stale", Boolean, nullable=False),
    Column("values", Text, nullable=False),
    Column("annotations", Text, nullable=False),
    Column("acknowledged_at", BigInteger),
    Column("acknowledged_by", String(64)),
    Column("note", Text),
    Column("returned_at", BigInteger),
    Column("open", String(1)),  # 'y' while not normal, else NULL: the key below is for open alarms
    Column("active", Boolean, nullable=False),
    Column("suppressed", Boolean, nullable=False),
    Column("latching", Boolean, nullable=False),
    Column("latched", Boolean, nullable=False),
    Column("shelved_at", BigInteger),
    Column("shelve_ends_at", BigInteger),
    Column("shelved_by", String(64)),
    Column("shelve_reason", Text),
    Column("shelvings", Integer, nullable=False),
    Column("repeats", Integer, nullable=False),
    Column("due_at", BigInteger),
    Column("reasons", Text, nullable=False),  # JSON array
    UniqueConstraint("alert", "asset", "open", name="one_open_alarm"),
    Index("alarm_by_open", "open", "id"),
    Index("alarm_by_due", "due_at"),
    Index("alarm_by_state", "state", "raised_at"),
    Index("alarm_by_asset", "asset", "raised_at"),
)

feed = Table(
    "feed",
    state_metadata,
    Column("offset", BigId, primary_key=True, autoincrement=True),
    Column("event", String(16), nullable=False),
    Column("data", Text, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    sqlite_autoincrement=True,  # an offset is never used twice, even after old items went
)

token = Table(
    "token",
    state_metadata,
    Column("sha256", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

secret = Table(
    "secret",
    state_metadata,
    Column("name", String(32), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

# --- what was asked of gateways, see cloud/remote -------------------------------------------------

command = Table(
    "command",
    state_metadata,
    Column("id", String(64), primary_key=True),
    Column("gateway_id", String(64), nullable=False),
    Column("op", String(32), nullable=False),
    Column("args", Text, nullable=False),  # JSON object
    Column("by", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("sent_at", BigInteger),
    Column("replied_at", BigInteger),
    Column("result", Text, nullable=False),  # JSON
    Index("command_by_gateway", "gateway_id", "created_at"),
    Index("command_by_state", "state"),
)

config_push = Table(
    "config_push",
    state_metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False),  # signed, as published
    Column("site_sha256", String(64), nullable=False),
    Column("by", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("not_after", BigInteger),
    Column("state", String(16), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("sent_at", BigInteger),
    Index("config_push_by_state", "state"),
)

rollout = Table(
    "rollout",
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("serial", BigInteger, nullable=False),
    Column("version", String(64), nullable=False),
    Column("manifest", Text, nullable=False),  # signed
    Column("url", Text, nullable=False),
    Column("stages", Text, nullable=False),  # JSON list
    Column("wait_s", BigInteger, nullable=False),
    Column("timeout_s", BigInteger, nullable=False),
    Column("failures_max", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("stage", BigInteger, nullable=False),
    Column("stage_done_at", BigInteger),
    Column("reason", Text, nullable=False),
    Column("by", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

rollout_member = Table(
    "rollout_member",
    state_metadata,
    Column("rollout_id", BigInteger, primary_key=True, autoincrement=False),
    Column("gateway_id", String(64), primary_key=True),
    Column("stage", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("command_id", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)
