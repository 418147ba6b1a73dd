"""The tables of enterprise platforms that report lifts by REST; in the state."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, UniqueConstraint

from cloud.model.tables import BigId, String, Text, state_metadata

lift_platform = Table(
    "lift_platform",
    state_metadata,
    Column("id", String(32), primary_key=True),
    Column("name", Text, nullable=False),
    Column("organisation", String(32), nullable=False),
    Column("dialect", String(32), nullable=False),
    Column("dialect_version", String(16), nullable=False),
    Column("secret_sha256", String(64), nullable=False),
    Column("secret_at", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),  # active, revoked
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index("lift_platform_by_organisation", "organisation"),
    Index("lift_platform_by_change", "updated_at"),
)

lift_platform_account = Table(
    "lift_platform_account",  # what came, and the numbers of what goes on to the log
    state_metadata,
    Column("platform", String(32), primary_key=True),
    Column("spool", String(32), nullable=False),
    Column("alarm_seq", BigInteger, nullable=False),
    Column("data_seq", BigInteger, nullable=False),
    Column("heard_at", BigInteger),
    Column("taken", BigInteger, nullable=False),
    Column("duplicate", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("placed", BigInteger, nullable=False),  # emergencies dated by their receipt
    Column("offsets", Text, nullable=False),  # JSON list: the newest of receipt less its own time
    Column("last_refusal", Text, nullable=False),
)

lift_platform_token = Table(
    "lift_platform_token",
    state_metadata,
    Column("sha256", String(64), primary_key=True),
    Column("platform", String(32), nullable=False),
    Column("scope", Text, nullable=False),  # calls, with spaces between
    Column("issued_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Index("lift_platform_token_of", "platform", "issued_at"),
    Index("lift_platform_token_by_end", "expires_at"),
)

lift_platform_item = Table(
    "lift_platform_item",  # taken once, so that the same item does nothing when it comes again
    state_metadata,
    Column("platform", String(32), primary_key=True),
    Column("key", String(32), primary_key=True),
    Column("content", String(16), nullable=False),
    Column("forget_at", BigInteger, nullable=False),
    Index("lift_platform_item_by_end", "forget_at"),
)

lift_platform_inbox = Table(
    "lift_platform_inbox",  # envelopes on their way to the log, until it has settled them
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("platform", String(32), nullable=False),
    Column("stream", String(8), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("records", LargeBinary, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    UniqueConstraint("platform", "stream", "seq", name="one_inbox_number"),
)

lift_platform_lift = Table(
    "lift_platform_lift",  # what a platform last said of each lift
    state_metadata,
    Column("platform", String(32), primary_key=True),
    Column("asset", String(97), primary_key=True),
    Column("received_at", BigInteger, nullable=False),
    Column("observed_at", BigInteger, nullable=False),
    Column("codes", Text, nullable=False),  # JSON: what stands, and since when that is known
    Column("basic", Text, nullable=False),  # JSON: static information as it declares it
    Column("basic_operation", String(8), nullable=False),  # UPLOAD, UPDATE, DELETE; empty: none
    Column("basic_at", BigInteger),
    Index("lift_platform_lift_by_receipt", "received_at"),
)

dialect_unknown = Table(
    "dialect_unknown",  # what a version of a dialect does not have, so often
    state_metadata,
    Column("dialect", String(32), primary_key=True),
    Column("version", String(16), primary_key=True),
    Column("what", String(8), primary_key=True),  # code, field
    Column("raw", String(64), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("platform", String(32), nullable=False),  # who sent it last
    Column("asset", String(97), nullable=False),
    Column("sample", Text, nullable=False),  # the item, cut
    Index("dialect_unknown_by_time", "last_at"),
)
