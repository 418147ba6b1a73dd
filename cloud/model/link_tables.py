"""Links of the resolver, and who has which GS1 company prefix; in the state."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table

from cloud.model.tables import String, Text, state_metadata
from cloud.model.trace_tables import OrderedText

trace_link = Table(
    "trace_link",
    state_metadata,
    Column("anchor", OrderedText, primary_key=True),  # path of what it is a link of, see anchors.py
    Column("position", Integer, primary_key=True, autoincrement=False),  # as the owner put them
    Column("organisation", String(32), nullable=False),  # that put it; empty for none
    Column("type", Text, nullable=False),  # full address of the link type
    Column("href", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("languages", Text, nullable=False),  # JSON list
    Column("media_type", Text),
    Column("context", Text, nullable=False),  # JSON list
    Column("role", String(16), nullable=False),  # '', default, default_multi
    Column("updated_at", BigInteger, nullable=False),
    Index("trace_link_by_organisation", "organisation", "anchor"),
)

trace_prefix = Table(
    "trace_prefix",
    state_metadata,
    Column("prefix", String(12), primary_key=True),
    Column("organisation", String(32), nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)
