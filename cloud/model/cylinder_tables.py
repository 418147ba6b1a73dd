"""The tables of gas cylinders; in the state.

Dates are text as a stamp has them, `2026-03` or `2026-03-15`; moments are ms since 1970 UTC.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    Table,
    UniqueConstraint,
)

from cloud.model.tables import BigId, String, Text, state_metadata

cylinder = Table(
    "cylinder",  # the file of an asset of kind `cylinder`; place and parties stand with the asset
    state_metadata,
    Column("asset_id", String(97), primary_key=True),
    Column("change", BigInteger, nullable=False, unique=True),  # its last one
    Column("state", String(16), nullable=False),  # in_use, out_of_use, lost, scrapped
    Column("blocks", Integer, nullable=False),  # open rows of cylinder_block
    Column("filler", String(32), nullable=False),  # empty: not known
    Column("kind", String(32), nullable=False),
    Column("gas", String(32), nullable=False),
    Column("components", Text, nullable=False),  # JSON list
    Column("standard", String(64), nullable=False),
    Column("maker", String(128), nullable=False),
    Column("maker_licence", String(64), nullable=False),
    Column("serial_number", String(64), nullable=False),
    Column("manufactured_on", String(10)),
    Column("design_life_years", Integer),
    Column("working_pressure_mpa", Float),
    Column("test_pressure_mpa", Float),
    Column("water_capacity_l", Float),
    Column("tare_kg", Float),
    Column("allowable_fill_kg", Float),
    Column("use_registration", String(64), nullable=False),
    Column("vehicle", String(32), nullable=False),  # empty: no vehicle's fuel tank
    Column("in_vehicle", Boolean, nullable=False),  # the same, so that an index finds them all
    Column("valve", Text, nullable=False),  # JSON object or null
    Column("documents", Text, nullable=False),  # JSON list
    Column("inspected_on", String(10)),
    Column("inspection_due_on", String(10)),
    Column("life_extended", Boolean, nullable=False),
    Column("purged", Boolean, nullable=False),
    Column("last_filled_on", String(10)),
    Column("scrapped_how", String(32), nullable=False),
    Column("scrapped_on", String(10)),
    Column("scrapped_by", String(64), nullable=False),
    Column("scrapped_at", BigInteger),
    Column("registered_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index("cylinder_by_filler", "filler", "change"),
    Index("cylinder_by_vehicle", "vehicle"),
    Index("cylinder_in_vehicle", "in_vehicle", "change"),
    Index("cylinder_by_maker", "serial_number", "maker"),
)

cylinder_code = Table(
    "cylinder_code",  # every code that ever told of a cylinder, its own too: none tells of another
    state_metadata,
    Column("scheme", String(32), primary_key=True),
    Column("value", String(128), primary_key=True),
    Column("asset_id", String(97), nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),  # void since: taken off, or scrapped
    Index("code_of_cylinder", "asset_id"),
    Index("code_by_value", "value"),
)

cylinder_head = Table(
    "cylinder_head",  # one row: number of the newest change
    state_metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("change", BigInteger, nullable=False),
)

cylinder_change = Table(
    "cylinder_change",  # append-only, numbered without holes in the order of commits
    state_metadata,
    Column("change", BigInteger, primary_key=True, autoincrement=False),
    Column("asset_id", String(97), nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("by", String(64), nullable=False),  # id of a principal
    Column("organisation", String(32), nullable=False),
    Column("what", String(32), nullable=False),
    Column("before", Text, nullable=False),  # JSON object: what was in the fields that changed
    Column("after", Text, nullable=False),  # JSON object
    Column("reason", Text, nullable=False),
    Index("change_of_cylinder", "asset_id", "change"),
)

cylinder_gone = Table(
    "cylinder_gone",  # whose it was before, so that their snapshots forget it
    state_metadata,
    Column("filler", String(32), primary_key=True),
    Column("asset_id", String(97), primary_key=True),
    Column("change", BigInteger, nullable=False),
    Index("cylinder_gone_by_change", "filler", "change"),
)

cylinder_block = Table(
    "cylinder_block",
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("asset_id", String(97), nullable=False),
    Column("cause", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("by", String(64), nullable=False),
    Column("organisation", String(32), nullable=False),
    Column("blocked_at", BigInteger, nullable=False),
    Column("lifted_at", BigInteger),
    Column("lifted_by", String(64), nullable=False),
    Column("lifted_reason", Text, nullable=False),
    Index("block_of_cylinder", "asset_id", "id"),
)

cylinder_inspection = Table(
    "cylinder_inspection",
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("asset_id", String(97), nullable=False),
    Column("kind", String(16), nullable=False),  # periodic, assessment
    Column("inspected_on", String(10), nullable=False),
    Column("result", String(16), nullable=False),  # passed, failed
    Column("next_due_on", String(10)),
    Column("body", String(32), nullable=False),  # an organisation
    Column("certificate", String(64), nullable=False),
    Column("findings", Text, nullable=False),  # JSON list of codes
    Column("life_extended", Boolean, nullable=False),
    Column("valve_replaced", Boolean, nullable=False),
    Column("note", Text, nullable=False),
    Column("documents", Text, nullable=False),  # JSON list
    Column("by", String(64), nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("withdrawn_at", BigInteger),
    Column("withdrawn_by", String(64), nullable=False),
    Column("withdrawn_reason", Text, nullable=False),
    Column("open", String(1)),  # 'y' until withdrawn, then NULL: the key is for those that count
    UniqueConstraint("asset_id", "inspected_on", "kind", "open", name="one_inspection_a_day"),
    Index("inspection_by_body", "body", "recorded_at"),
)

vehicle = Table(
    "cylinder_vehicle",
    state_metadata,
    Column("id", String(32), primary_key=True),  # its identification number, or the local one
    Column("plate", String(16), nullable=False),  # personal data
    Column("taxi", Boolean, nullable=False),
    Column("installer", String(128), nullable=False),
    Column("installed_on", String(10)),
    Column("installation_certificate", String(64), nullable=False),
    Column("use_registration", String(64), nullable=False),  # empty: not registered
    Column("certificate_valid_until", String(10)),
    Column("scrapped_on", String(10)),
    Column("scrapped_at", BigInteger),  # when that was written
    Column("by", String(64), nullable=False),
    Column("organisation", String(32), nullable=False),  # who put it in
    Column("updated_at", BigInteger, nullable=False),
)

permit = Table(
    "cylinder_permit",  # of a filling unit to fill, of a body to inspect
    state_metadata,
    Column("organisation", String(32), primary_key=True),
    Column("kind", String(16), primary_key=True),  # filling, inspection
    Column("number", String(64), primary_key=True),
    Column("items", Text, nullable=False),  # JSON list: gases, or kinds of shell
    Column("valid_from", String(10), nullable=False),
    Column("valid_until", String(10), nullable=False),
    Column("issuer", String(128), nullable=False),
    Column("state", String(16), nullable=False),  # valid, suspended, revoked
    Column("reason", Text, nullable=False),
    Column("by", String(64), nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

cylinder_import = Table(
    "cylinder_import",
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
    UniqueConstraint("organisation", "sha256", "open", name="one_import_at_a_time"),
    Index("import_by_organisation", "organisation", "id"),
    Index("import_by_end", "ended_at"),
)

cylinder_import_refusal = Table(
    "cylinder_import_refusal",
    state_metadata,
    Column("import_id", BigInteger, primary_key=True, autoincrement=False),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("field", String(48), primary_key=True),
    Column("expected", Text, nullable=False),
    Column("found", Text, nullable=False),
)
