"""The tables of lifts' files; in the state.

Days are local, `2026-03-15`; moments are ms since 1970 UTC.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    UniqueConstraint,
)

from cloud.model.tables import BigId, String, Text, state_metadata

NEVER = "9999-12-31"
"""Due day of a lift of which nothing is due."""

lift = Table(
    "lift",  # the file of an asset of kind `elevator`; place and parties stand with the asset
    state_metadata,
    Column("asset_id", String(97), primary_key=True),
    Column("file", Text, nullable=False),  # JSON: its static data
    Column("registration_code", String(64), nullable=False),
    Column("equipment_code", String(64), nullable=False),
    Column("rescue_code", String(64), nullable=False),
    Column("state", String(16), nullable=False),  # in_use, stopped, scrapped
    Column("events", Text, nullable=False),  # JSON: of its record, what its calendar rests on
    Column("seq", Integer, nullable=False),  # of the newest entry of its record; 0: none
    Column("hash", String(64), nullable=False),  # of that entry
    Column("next_due_on", String(10), nullable=False),
    Column("next_kind", String(24), nullable=False),  # empty: nothing
    Column("overdue", Integer, nullable=False),  # number of duties
    Column("judged_on", String(10), nullable=False),  # empty: the watch has not looked since
    Column("scrapped_at", BigInteger),
    Column("registered_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index("lift_by_judged", "judged_on", "asset_id"),
    Index("lift_by_due", "next_due_on", "asset_id"),
    Index("lift_by_registration", "registration_code"),
    Index("lift_by_equipment", "equipment_code"),
    Index("lift_by_rescue_code", "rescue_code"),
)

lift_record = Table(
    "lift_record",  # append-only, a hash chain for each lift, numbered without holes
    state_metadata,
    Column("asset_id", String(97), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),  # JSON: what is signed
    Column("hash", String(64), nullable=False),
    Column("signatures", Text, nullable=False),  # JSON: [[public key, signature], …]
    Column("kind", String(32), nullable=False),  # this and what follows stand in the body, too
    Column("happened_on", String(10), nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("about", Integer, nullable=False),  # entry that it corrects, confirms, withdraws; or 0
    Column("organisation", String(32), nullable=False),
    Index("lift_record_about", "asset_id", "about"),
)

lift_case = Table(
    "lift_case",  # what is or was overdue; open ones once for each lift and kind
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("asset_id", String(97), nullable=False),
    Column("kind", String(24), nullable=False),
    Column("day", String(10), nullable=False),  # by which it should have been done
    Column("facts", Text, nullable=False),  # JSON object
    Column("raised_at", BigInteger, nullable=False),
    Column("alarm", Boolean, nullable=False),  # it went to the alarm desk, too
    Column("ended_at", BigInteger),
    Column("open", String(1)),  # 'y' until ended
    UniqueConstraint("asset_id", "kind", "open", name="one_open_lift_case"),
    Index("lift_case_by_day", "open", "day", "id"),
    Index("lift_case_by_kind", "kind", "raised_at"),
    Index("lift_case_by_end", "ended_at"),
)

lift_import = Table(
    "lift_import",
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("organisation", String(32), nullable=False),
    Column("by", String(64), nullable=False),
    Column("rights", Text, nullable=False),  # JSON: how far the caller reached
    Column("form", String(8), nullable=False),  # csv, jsonl
    Column("sha256", String(64), nullable=False),
    Column("rows", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("taken", Integer, nullable=False),
    Column("unchanged", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("body", LargeBinary),  # compressed; NULL when it has ended
    Column("open", String(1)),  # 'y' until ended
    UniqueConstraint("organisation", "sha256", "open", name="one_lift_import_at_a_time"),
    Index("lift_import_by_organisation", "organisation", "id"),
    Index("lift_import_by_end", "ended_at"),
)

lift_import_refusal = Table(
    "lift_import_refusal",
    state_metadata,
    Column("import_id", BigInteger, primary_key=True, autoincrement=False),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("field", String(48), primary_key=True),
    Column("expected", Text, nullable=False),
    Column("found", Text, nullable=False),
)
