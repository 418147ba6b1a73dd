"""Exchange with other repositories: partners, and receipts of what went to and fro."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table

from cloud.model.tables import BigId, String, Text, state_metadata

trace_partner = Table(
    "trace_partner",  # a repository that events are fetched from and sent to
    state_metadata,
    Column("partner_id", String(32), primary_key=True),
    Column("organisation", String(32), nullable=False),  # whose partner it is
    Column("name", Text, nullable=False),
    Column("base", Text, nullable=False),  # address of its REST binding
    Column("header", String(64), nullable=False),  # that carries the credential; empty: none does
    Column("credential", Text, nullable=False),  # sealed
    Column("tolerances", String(64), nullable=False),
    Column("principal", String(64), nullable=False),  # who registered it; their rights are asked
    Column("account", BigInteger),  # NULL: the administrator's token
    Column("created_at_ms", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),  # active, paused, ending
    Column("pull", Text, nullable=False),  # JSON, what is fetched; empty: nothing
    Column("push", Text, nullable=False),  # JSON, what is sent; empty: nothing
    Column("turn", BigInteger, nullable=False),  # rises with each step: who saw an older one stops
    Column("pull_at_ms", BigInteger, nullable=False),  # next look
    Column("push_at_ms", BigInteger, nullable=False),
    Column("pulling", Text, nullable=False),  # JSON, how far fetching has come
    Column("pushing", Text, nullable=False),  # JSON, how far sending has come
    Column("subscribed", Text, nullable=False),  # JSON, our subscription there
    Column("heard_at_ms", BigInteger),  # it called us last
    Index("trace_partner_by_organisation", "organisation"),
)

trace_receipt = Table(
    "trace_receipt",  # one document that was fetched, sent, or brought by a subscription
    state_metadata,
    Column("receipt", BigId, primary_key=True, autoincrement=True),
    Column("partner_id", String(32), nullable=False),
    Column("organisation", String(32), nullable=False),
    Column("kind", String(16), nullable=False),  # pulled, notified, pushed
    Column("begun_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger),
    Column("state", String(16), nullable=False),  # running, done, refused, split
    Column("url", Text, nullable=False),  # of the capture job, ours or theirs
    Column("job", BigInteger),  # number of our capture job
    Column("events", Integer, nullable=False),
    Column("stored", Integer, nullable=False),
    Column("duplicates", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("last_no", BigInteger),  # of what was sent: the last event_no
    Column("faults", Text, nullable=False),  # JSON list, as the capturing side told them
    Index("trace_receipt_by_partner", "partner_id", "receipt"),
    Index("trace_receipt_by_job", "job"),
    Index("trace_receipt_by_end", "ended_at_ms"),
)
