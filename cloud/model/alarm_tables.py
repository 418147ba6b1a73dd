"""Tables beside alarms: each raising of one, assets out of service, test calls; in the state."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, UniqueConstraint

from cloud.model.tables import BigId, String, Text, state_metadata

alarm_raise = Table(
    "alarm_raise",  # each time that an alarm asked for an operator: what the figures count
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("alarm", BigInteger, nullable=False),
    Column("asset", String(97), nullable=False),
    Column("alert", String(64), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("raised_at", BigInteger, nullable=False),
    Column("acknowledged_at", BigInteger),
    Index("raise_by_time", "raised_at"),
    Index("raise_of_alarm", "alarm"),
)

out_of_service = Table(
    "out_of_service",  # assets taken out of service, and those that were
    state_metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("asset", String(97), nullable=False),
    Column("began_at", BigInteger, nullable=False),
    Column("began_by", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("return_expected_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("ended_by", String(64)),
    Column("open", String(1)),  # 'y' until it is back
    UniqueConstraint("asset", "open", name="one_time_out"),
    Index("out_by_end", "ended_at"),
)

test_call = Table(
    "test_call",  # lifts that ever sent a test call, or are registered as doing so
    state_metadata,
    Column("asset", String(97), primary_key=True),
    Column("watched_at", BigInteger, nullable=False),  # since when one is expected
    Column("seen_at", BigInteger),  # when the newest one began, as the gateway saw it
    Column("still_at", BigInteger),  # until when its code stood
    Column("due_at", BigInteger, nullable=False),  # by when the next one must be seen
    Column("missing", Boolean, nullable=False),  # the alarm was raised
    Index("test_call_by_due", "missing", "due_at"),
)
