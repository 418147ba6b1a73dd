"""Scans and codes of which no event was made, and why; in the state."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table

from cloud.model.tables import String, Text, state_metadata

trace_left_out = Table(
    "trace_left_out",
    state_metadata,
    Column("gateway", String(64), primary_key=True),
    Column("spool", String(32), primary_key=True),
    Column("stream", String(8), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("record_index", Integer, primary_key=True, autoincrement=False),
    Column("code_index", Integer, primary_key=True, autoincrement=False),  # -1: the whole scan
    Column("reason", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("noted_at", BigInteger, nullable=False),
    Index("trace_left_out_by_time", "noted_at"),
)
