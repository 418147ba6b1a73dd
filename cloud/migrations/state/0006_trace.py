"""The trace repository: events and what they can be asked for by, capture jobs, named queries."""

import sqlalchemy as sa
from alembic import op

revision = "state_0006"
down_revision = "state_0005"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ORDERED = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    _context()
    _event()
    _facet()
    _item()
    _job()
    _master()
    _named_query()
    _party()
    _said()
    _sight()
    _use()
    _word()


def _context() -> None:
    op.create_table(
        "trace_context",
        sa.Column("context_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("contexts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("context_no"),
        sa.UniqueConstraint("sha256"),
    )


def _event() -> None:
    op.create_table(
        "trace_event",
        sa.Column("event_no", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("event_key", sa.LargeBinary(length=16), nullable=False),
        sa.Column("event_time_us", sa.BigInteger(), nullable=False),
        sa.Column("record_time_us", sa.BigInteger(), nullable=False),
        sa.Column("id_key", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("type", sa.Integer(), nullable=False),
        sa.Column("action", sa.SmallInteger(), nullable=True),
        sa.Column("biz_step", sa.Integer(), nullable=True),
        sa.Column("disposition", sa.Integer(), nullable=True),
        sa.Column("read_point", sa.Integer(), nullable=True),
        sa.Column("biz_location", sa.Integer(), nullable=True),
        sa.Column("organisation", sa.Integer(), nullable=False),
        sa.Column("transformation_id", ORDERED, nullable=True),
        sa.Column("declared_at_us", sa.BigInteger(), nullable=True),
        sa.Column("voided_by", sa.BigInteger(), nullable=True),
        sa.Column("job", sa.BigInteger(), nullable=True),
        sa.Column("context_no", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("event_no"),
    )
    op.create_index(
        "trace_event_by_biz_location", "trace_event", ["biz_location", "event_no"], unique=False
    )
    op.create_index(
        "trace_event_by_biz_step", "trace_event", ["biz_step", "event_no"], unique=False
    )
    op.create_index(
        "trace_event_by_declaration",
        "trace_event",
        ["declared_at_us"],
        unique=False,
        sqlite_where=sa.text("declared_at_us IS NOT NULL"),
        postgresql_where=sa.text("declared_at_us IS NOT NULL"),
    )
    op.create_index(
        "trace_event_by_disposition", "trace_event", ["disposition", "event_no"], unique=False
    )
    op.create_index("trace_event_by_id", "trace_event", ["id_key"], unique=False)
    op.create_index(
        "trace_event_by_read_point", "trace_event", ["read_point", "event_no"], unique=False
    )
    op.create_index("trace_event_by_record_time", "trace_event", ["record_time_us"], unique=False)
    op.create_index(
        "trace_event_by_transformation",
        "trace_event",
        ["transformation_id"],
        unique=False,
        sqlite_where=sa.text("transformation_id IS NOT NULL"),
        postgresql_where=sa.text("transformation_id IS NOT NULL"),
    )
    op.create_index("trace_event_by_type", "trace_event", ["type", "event_no"], unique=False)
    op.create_index("trace_event_once", "trace_event", ["event_time_us", "event_key"], unique=True)


def _facet() -> None:
    op.create_table(
        "trace_facet",
        sa.Column("event_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Integer(), nullable=False),
        sa.Column("text", ORDERED, nullable=True),
        sa.Column("number", sa.Float(precision=53), nullable=True),
        sa.Column("time_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("event_no", "position"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "trace_facet_by_number",
        "trace_facet",
        ["name", "number"],
        unique=False,
        sqlite_where=sa.text("number IS NOT NULL"),
        postgresql_where=sa.text("number IS NOT NULL"),
    )
    op.create_index("trace_facet_by_text", "trace_facet", ["name", "text", "number"], unique=False)
    op.create_index(
        "trace_facet_by_time",
        "trace_facet",
        ["name", "time_us"],
        unique=False,
        sqlite_where=sa.text("time_us IS NOT NULL"),
        postgresql_where=sa.text("time_us IS NOT NULL"),
    )


def _item() -> None:
    op.create_table(
        "trace_item",
        sa.Column("item_no", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("id", ORDERED, nullable=False),
        sa.PrimaryKeyConstraint("item_no"),
        sa.UniqueConstraint("id"),
    )


def _job() -> None:
    op.create_table(
        "trace_job",
        sa.Column("job", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("capture_id", sa.String(length=32), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("organisation", sa.String(length=32), nullable=False),
        sa.Column("behaviour", sa.String(length=16), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("success", sa.Boolean(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("stored", sa.Integer(), nullable=False),
        sa.Column("duplicates", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("faults", sa.Text(), nullable=False),
        sa.Column("restarts", sa.Integer(), nullable=False),
        sa.Column("media_type", sa.String(length=64), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("job"),
        sa.UniqueConstraint("capture_id"),
    )
    op.create_index("trace_job_by_end", "trace_job", ["ended_at_ms"], unique=False)
    op.create_index("trace_job_by_organisation", "trace_job", ["organisation", "job"], unique=False)


def _master() -> None:
    op.create_table(
        "trace_master",
        sa.Column("organisation", sa.String(length=32), nullable=False),
        sa.Column("element", ORDERED, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("name", ORDERED, nullable=False),
        sa.Column("value", ORDERED, nullable=False),
        sa.PrimaryKeyConstraint("organisation", "element", "position"),
    )
    op.create_index("trace_master_by_element", "trace_master", ["element", "name"], unique=False)


def _named_query() -> None:
    op.create_table(
        "trace_named_query",
        sa.Column("organisation", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "name"),
    )


def _party() -> None:
    op.create_table(
        "trace_party",
        sa.Column("identifier", ORDERED, nullable=False),
        sa.Column("organisation", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("identifier", "organisation"),
    )
    op.create_index("trace_party_by_organisation", "trace_party", ["organisation"], unique=False)


def _said() -> None:
    op.create_table(
        "trace_said",
        sa.Column("organisation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("aspect", sa.String(length=16), nullable=False),
        sa.Column("word", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("organisation", "aspect", "word"),
        sqlite_with_rowid=False,
    )


def _sight() -> None:
    op.create_table(
        "trace_sight",
        sa.Column("event_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("organisation", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("event_no", "organisation"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "trace_sight_by_organisation", "trace_sight", ["organisation", "event_no"], unique=False
    )


def _use() -> None:
    op.create_table(
        "trace_use",
        sa.Column("item_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("role", sa.SmallInteger(), nullable=False),
        sa.Column("by_class", sa.Boolean(), nullable=False),
        sa.Column("quantity", sa.Float(precision=53), nullable=True),
        sa.Column("uom", sa.String(length=8), nullable=True),
        sa.PrimaryKeyConstraint("item_no", "event_no", "position"),
        sqlite_with_rowid=False,
    )
    op.create_index("trace_use_by_event", "trace_use", ["event_no", "position"], unique=False)
    op.create_index(
        "trace_use_by_quantity",
        "trace_use",
        ["quantity"],
        unique=False,
        sqlite_where=sa.text("quantity IS NOT NULL"),
        postgresql_where=sa.text("quantity IS NOT NULL"),
    )


def _word() -> None:
    op.create_table(
        "trace_word",
        sa.Column("word_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("word", ORDERED, nullable=False),
        sa.PrimaryKeyConstraint("word_no"),
        sa.UniqueConstraint("kind", "word", name="one_word"),
    )
