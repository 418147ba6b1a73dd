"""The tables of the trace repository, in the state. Times are us since 1970 UTC.

An event is kept as it was captured, compressed, in `trace_event`; everything else here is an index
of it in canonical form, and can be made again from it.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    UniqueConstraint,
)

from cloud.model.tables import BigId, String, Text, state_metadata

OrderedText = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that both databases order by code points, so that what begins alike is one range."""

ROLES = ("epc", "parent", "child", "input", "output")
"""Roles of a use; a row holds the place in this tuple."""

trace_event = Table(
    "trace_event",
    state_metadata,
    # dense, in the order of commit: whoever saw one has seen all before it
    Column("event_no", BigId, primary_key=True, autoincrement=False),
    # first 16 bytes of sha-256 over hash, event id and declaration
    Column("event_key", LargeBinary(16), nullable=False),
    Column("event_time_us", BigInteger, nullable=False),
    Column("record_time_us", BigInteger, nullable=False),  # never falls with event_no
    Column("id_key", BigInteger, nullable=False),  # 8 bytes of sha-256 over the event id
    Column("event_id", Text),  # NULL: nobody gave one, its hash is its id
    Column("hash", LargeBinary(32), nullable=False),  # the digest alone
    Column("type", Integer, nullable=False),  # word_no, as the six below
    Column("action", SmallInteger),  # place in ACTIONS
    Column("biz_step", Integer),
    Column("disposition", Integer),
    Column("read_point", Integer),
    Column("biz_location", Integer),
    Column("organisation", Integer, nullable=False),  # that captured it first; of '' for none
    Column("transformation_id", OrderedText),
    Column("declared_at_us", BigInteger),  # it is an error declaration
    Column("voided_by", BigInteger),  # event_no of its error declaration
    Column("job", BigInteger),
    Column("context_no", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),  # zstd of JSON
    Index("trace_event_once", "event_time_us", "event_key", unique=True),
    Index("trace_event_by_id", "id_key"),
    Index("trace_event_by_record_time", "record_time_us"),
    Index("trace_event_by_type", "type", "event_no"),
    Index("trace_event_by_biz_step", "biz_step", "event_no"),
    Index("trace_event_by_disposition", "disposition", "event_no"),
    Index("trace_event_by_read_point", "read_point", "event_no"),
    Index("trace_event_by_biz_location", "biz_location", "event_no"),
)
ACTIONS = ("ADD", "OBSERVE", "DELETE")


trace_sight = Table(
    "trace_sight",  # whose event it is: who sent it, first or again, and whom its lists name
    state_metadata,
    Column("event_no", BigInteger, primary_key=True, autoincrement=False),
    Column("organisation", Integer, primary_key=True, autoincrement=False),  # word_no
    Column("event_time_us", BigInteger, nullable=False),  # of the event, to order them by
    Index("trace_sight_by_organisation", "organisation", "event_no"),
    Index("trace_sight_by_time", "organisation", "event_time_us", "event_no"),
    sqlite_with_rowid=False,
)

trace_said = Table(
    "trace_said",  # words that an organisation's events say, for the top-level resources
    state_metadata,
    Column("organisation", Integer, primary_key=True, autoincrement=False),  # word_no
    Column("aspect", String(16), primary_key=True),  # column of trace_event
    Column("word", Integer, primary_key=True, autoincrement=False),  # word_no
    sqlite_with_rowid=False,
)

trace_word = Table(
    "trace_word",  # words that many events say; kind: type, biz_step, disposition, place,
    state_metadata,  # organisation, facet
    Column("word_no", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("word", OrderedText, nullable=False),
    UniqueConstraint("kind", "word", name="one_word"),
)

trace_context = Table(
    "trace_context",
    state_metadata,
    Column("context_no", Integer, primary_key=True, autoincrement=False),
    Column("sha256", LargeBinary(32), nullable=False, unique=True),
    Column("contexts", Text, nullable=False),  # JSON list
)

trace_item = Table(
    "trace_item",  # an object, a class or a lot
    state_metadata,
    Column("item_no", BigId, primary_key=True, autoincrement=False),
    Column("id", OrderedText, nullable=False, unique=True),  # canonical
)

trace_use = Table(
    "trace_use",  # all events of an item are one range
    state_metadata,
    Column("item_no", BigInteger, primary_key=True, autoincrement=False),
    Column("event_no", BigInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),  # in Event.uses
    Column("role", SmallInteger, nullable=False),  # place in ROLES
    Column("by_class", Boolean, nullable=False),
    Column("quantity", Float(53)),
    Column("uom", String(8)),
    Index("trace_use_by_event", "event_no", "position"),
    sqlite_with_rowid=False,
)

trace_facet = Table(
    "trace_facet",  # what else of an event can be asked for, see cloud/trace/facets.py
    state_metadata,
    Column("event_no", BigInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("name", Integer, nullable=False),  # word_no
    Column("text", OrderedText),  # of a measured value: its unit
    Column("number", Float(53)),
    Column("time_us", BigInteger),
    Index("trace_facet_by_text", "name", "text", "number"),
    sqlite_with_rowid=False,
)

trace_master = Table(
    "trace_master",  # master data: an attribute of a vocabulary element, or (name '') a child of it
    state_metadata,
    Column("organisation", String(32), primary_key=True),  # that told it
    Column("element", OrderedText, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("type", Text, nullable=False),
    Column("name", OrderedText, nullable=False),
    Column("value", OrderedText, nullable=False),
    Index("trace_master_by_element", "element", "name"),
)

trace_party = Table(
    "trace_party",  # identifiers by which source and destination lists name an organisation
    state_metadata,
    Column("identifier", OrderedText, primary_key=True),
    Column("organisation", String(32), primary_key=True),
    Index("trace_party_by_organisation", "organisation"),
)

trace_job = Table(
    "trace_job",  # a capture; its document is kept until the job has ended
    state_metadata,
    Column("job", BigId, primary_key=True, autoincrement=True),
    Column("capture_id", String(32), nullable=False, unique=True),
    Column("by", String(64), nullable=False),
    Column("organisation", String(32), nullable=False),
    Column("behaviour", String(16), nullable=False),  # rollback, proceed
    Column("created_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger),
    Column("success", Boolean, nullable=False),
    Column("done", Integer, nullable=False),  # events looked at, from the start of the document
    Column("stored", Integer, nullable=False),
    Column("duplicates", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("faults", Text, nullable=False),  # JSON list
    Column("restarts", Integer, nullable=False),  # it was under way when a service started
    Column("media_type", String(64), nullable=False),
    Column("document", LargeBinary),  # zstd
    Index("trace_job_by_organisation", "organisation", "job"),
    Index("trace_job_by_end", "ended_at_ms"),
)

trace_named_query = Table(
    "trace_named_query",
    state_metadata,
    Column("organisation", String(32), primary_key=True),  # each has its own names
    Column("name", String(128), primary_key=True),
    Column("by", String(64), nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("query", Text, nullable=False),  # JSON object, as given
)


def _of_those_that_have_it(name: str, *columns: "Column[Any]") -> None:
    """Make an index without the rows whose last column is NULL."""
    has = columns[-1].is_not(None)
    Index(name, *columns, sqlite_where=has, postgresql_where=has)


_of_those_that_have_it("trace_event_by_transformation", trace_event.c.transformation_id)
_of_those_that_have_it("trace_event_by_declaration", trace_event.c.declared_at_us)
_of_those_that_have_it("trace_use_by_quantity", trace_use.c.quantity)
_of_those_that_have_it("trace_facet_by_number", trace_facet.c.name, trace_facet.c.number)
_of_those_that_have_it("trace_facet_by_time", trace_facet.c.name, trace_facet.c.time_us)
