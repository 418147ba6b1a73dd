"""The tables of people, their organisations and what is written down about them; in the state."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, UniqueConstraint

from cloud.model.tables import BigId, String, Text, state_metadata

organisation = Table(
    "organisation",
    state_metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("name", Text, nullable=False),
    Column("credit_code", String(18)),
    Column("department", String(32)),
    Column("districts", Text, nullable=False),  # JSON list; empty: the whole city
    Column("categories", Text, nullable=False),  # JSON list; empty: all
    Column("contact", Text, nullable=False),  # JSON object: personal data
    Column("quotas", Text, nullable=False),  # JSON object
    Column("tolerances", String(32), nullable=False),
    Column("state", String(16), nullable=False),  # applied, active, refused, suspended, left
    Column("applied_at", BigInteger, nullable=False),
    Column("decided_at", BigInteger),
    Column("decided_by", String(64)),
    Column("reason", Text, nullable=False),
    Column("repeated", Integer, nullable=False),  # asked again with its credit code, so often
    Column("repeated_at", BigInteger),
    Column("left_at", BigInteger),
    Column("updated_at", BigInteger, nullable=False),
    Column("open", String(1)),  # 'y' until refused or left, then NULL: the key is for open ones
    UniqueConstraint("credit_code", "open", name="one_open_organisation"),
    Index("organisation_by_kind", "kind", "state"),
    Index("organisation_by_state", "state", "applied_at"),
)

organisation_district = Table(
    "organisation_district",  # the list once more, to be asked from the other end
    state_metadata,
    Column("organisation", String(32), primary_key=True),
    Column("district", String(64), primary_key=True),
    Index("organisation_of_district", "district", "organisation"),
)

organisation_category = Table(
    "organisation_category",  # the same
    state_metadata,
    Column("organisation", String(32), primary_key=True),
    Column("category", String(32), primary_key=True),
)

account = Table(
    "account",
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("username", String(64), nullable=False, unique=True),  # in lower case
    Column("name", Text, nullable=False),  # personal data
    Column("organisation", String(32), nullable=False),
    Column("roles", Text, nullable=False),  # JSON list
    Column("districts", Text),  # JSON list: narrower than the organisation's; NULL: as wide
    Column("categories", Text),  # the same
    Column("password", Text),  # argon2, as it encodes itself; NULL: comes in by other ways only
    Column("second_factor", Text),  # sealed
    Column("second_factor_step", BigInteger),  # the last one used: none counts twice
    Column("recovery", Text, nullable=False),  # JSON list of hashes
    Column("state", String(16), nullable=False),  # invited, active, disabled, gone
    Column("failures", Integer, nullable=False),
    Column("locked_until", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("last_in_at", BigInteger),
    Index("account_by_organisation", "organisation"),
    Index("account_by_change", "updated_at"),
)

identity = Table(
    "identity",  # at a department's own sign-on
    state_metadata,
    Column("issuer", String(200), primary_key=True),
    Column("subject", String(200), primary_key=True),
    Column("account", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

session = Table(
    "session",
    state_metadata,
    Column("sha256", String(64), primary_key=True),
    Column("account", BigInteger, nullable=False),  # 0: opened by the administrator's token
    Column("by", String(64), nullable=False),  # then: what the person calls itself
    Column("csrf", String(64), nullable=False),
    Column("second_factor", Boolean, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Index("session_by_account", "account"),
    Index("session_by_use", "seen_at"),
    Index("session_by_end", "ended_at"),
)

one_time_code = Table(
    "one_time_code",  # of an invitation, a password reset, a handheld
    state_metadata,
    Column("sha256", String(64), primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("account", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),  # JSON object
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)

api_key = Table(
    "api_key",
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("name", String(64), nullable=False),
    Column("account", BigInteger, nullable=False),  # it never may more than this one
    Column("organisation", String(32), nullable=False),
    Column("calls", Text, nullable=False),  # JSON list
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
)

device = Table(
    "device",
    state_metadata,
    Column("id", String(32), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("previous_sha256", String(64)),  # until the new token was used: an answer may be lost
    Column("name", String(64), nullable=False),
    Column("account", BigInteger, nullable=False),
    Column("organisation", String(32), nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("renewed_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("revoked_by", String(64)),
    Index("device_by_organisation", "organisation"),
)

audit = Table(
    "audit",  # append-only; see cloud/model/audit.py
    state_metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("by", String(64), nullable=False),  # id of a principal: no name of a person
    Column("organisation", String(32), nullable=False),
    Column("call", String(48), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("detail", Text, nullable=False),  # JSON object
    Column("hash", String(64), nullable=False),
    Index("audit_by_subject", "subject", "seq"),
    Index("audit_by_caller", "by", "seq"),
    Index("audit_by_time", "recorded_at"),
)

audit_head = Table(
    "audit_head",  # one row: the newest entry, proven
    state_metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("mac", String(64), nullable=False),
)

retention_run = Table(
    "retention_run",
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger, nullable=False),  # 0: under way, or cut off
    Column("runner", String(32), nullable=False),  # who carries it out; another may take it over
    Column("report", Text, nullable=False),  # JSON list, one object a step of a rule
)
