"""Records of handhelds; in the state. Rows are added, never changed."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, UniqueConstraint

from cloud.model.tables import BigId, String, Text, state_metadata

handheld_record = Table(
    "handheld_record",
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("store", String(32), nullable=False),
    Column("number", BigInteger, nullable=False),  # 0: the record does not tell it
    Column("sha256", String(64), nullable=False),  # of the bytes that came
    Column("person", String(16), nullable=False),  # the handheld's id for whoever did it
    Column("account", BigInteger),  # whose that is
    Column("organisation", String(32), nullable=False),
    Column("kind", String(16), nullable=False),  # scan, inspection, count, tag; empty: unreadable
    Column("asset", String(97), nullable=False),
    Column("tag_uid", String(20), nullable=False),
    Column("observed_at", BigInteger),
    Column("time_source", String(16), nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("carried_by", String(64), nullable=False),  # id of the principal that sent it
    Column("outcome", String(16), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("expected", Text, nullable=False),
    Column("found", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),  # as it came
    UniqueConstraint("store", "number", "sha256", name="one_handheld_record"),
    Index("handheld_record_of_asset", "asset", "kind", "id"),
    Index("handheld_record_of_tag", "tag_uid"),
    Index("handheld_record_of_organisation", "organisation", "id"),
    Index("handheld_record_by_receipt", "received_at"),
)

handheld_photo = Table(
    "handheld_photo",  # the files lie beside the database, under their SHA-256
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("sha256", String(64), nullable=False),
    Column("organisation", String(32), nullable=False),  # whose people took it
    Column("asset", String(97), nullable=False),  # that was inspected
    Column("size_bytes", BigInteger, nullable=False),
    Column("named_at", BigInteger, nullable=False),  # when a record first named it
    Column("media_type", String(32), nullable=False),  # empty: not here yet
    Column("received_at", BigInteger),
    Column("carried_by", String(64), nullable=False),  # id of the principal that sent it
    UniqueConstraint("organisation", "sha256", name="one_handheld_photo"),
    Index("handheld_photo_by_name", "named_at"),
    Index("handheld_photo_by_sha256", "sha256"),
)
