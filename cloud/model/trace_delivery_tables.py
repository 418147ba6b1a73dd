"""What the REST binding of the trace repository keeps: subscriptions, and tokens given back."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table

from cloud.model.tables import String, Text, state_metadata

trace_subscription = Table(
    "trace_subscription",  # of a named query, delivered to an address
    state_metadata,
    Column("subscription_id", String(36), primary_key=True),
    Column("organisation", String(32), nullable=False),  # whose named query it is
    Column("query_name", String(128), nullable=False),
    Column("principal", String(64), nullable=False),  # for whom; what it may see is asked anew
    Column("account", BigInteger),  # whose rights those are; NULL: the administrator's token
    Column("dest", Text, nullable=False),
    Column("secret", Text, nullable=False),  # sealed; empty: none was given
    Column("schedule", Text, nullable=False),  # JSON; empty: as soon as something matches
    Column("report_if_empty", Boolean, nullable=False),
    Column("epc_format", String(32), nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("initial_us", BigInteger),  # record time from which on events are sent
    Column("passed_no", BigInteger, nullable=False),  # event_no that all sent ones are up to
    Column("due_no", BigInteger),  # a scheduled run is under way, up to this event_no
    Column("next_at_ms", BigInteger),  # of the schedule
    Column("retry_at_ms", BigInteger),
    Column("failures", Integer, nullable=False),  # one after the other
    Column("batch", Integer, nullable=False),  # events at a time that the address bears
    Column("min_record_us", BigInteger, nullable=False),
    Column("notified_at_ms", BigInteger),
    Column("state", String(16), nullable=False),  # active, given_up
    Column("error", Text, nullable=False),  # of the last try, for people
    Index("trace_subscription_by_query", "organisation", "query_name"),
    Index("trace_subscription_by_state", "state"),
)

trace_spent_token = Table(
    "trace_spent_token",  # tokens of pages that were given back before their time
    state_metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("expires_at_ms", BigInteger, nullable=False),
    Index("trace_spent_token_by_end", "expires_at_ms"),
)
