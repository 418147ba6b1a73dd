"""Messages to the regulator of gas cylinders; in the state."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table

from cloud.model.tables import BigId, String, Text, state_metadata

cylinder_report = Table(
    "cylinder_report",
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("key", String(36), nullable=False, unique=True),  # of its step alone: none is made twice
    Column("kind", String(32), nullable=False),
    Column("version", String(16), nullable=False),
    Column("asset_id", String(128), nullable=False),
    Column("filler", String(128), nullable=False),
    Column("body", LargeBinary, nullable=False),  # the same bytes at each try
    Column("state", String(16), nullable=False),  # lacking, waiting, sent, refused, given_up
    Column("made_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("retry_at", BigInteger),
    Column("tries", Integer, nullable=False),
    Column("answer", Text, nullable=False),  # their receipt, why not, or what it lacks
    Index("report_by_state", "state", "id"),
    Index("report_of_cylinder", "asset_id", "id"),
    Index("report_by_making", "made_at"),
)
