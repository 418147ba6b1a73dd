"""Every bound that both ends know, in one place; each says what happens there."""

ENVELOPE_BYTES_MAX = 256 * 1024
"""A larger payload is refused whole."""

RECORDS_PER_BATCH_MAX = 2_000
"""The gateway starts a new batch; the cloud refuses the records beyond it."""

SEQ_MAX = 2**53
"""Largest sequence number: the largest whole number that every JSON reader keeps exact."""

UNPUBACKED_BATCHES_MAX = 20
"""The gateway publishes no further batch until the broker has taken one."""

UNACKED_BATCHES_MAX = 64
"""The gateway publishes no further batch until the cloud has settled one."""

UNACKED_BYTES_MAX = 2 * 1024 * 1024
"""As above, counted in payload bytes."""

PROBE_AFTER_S = 10.0
"""Without an ack for so long the gateway sends one batch again, doubling up to PROBE_MAX_S."""

PROBE_MAX_S = 60.0

ACK_RANGES_MAX = 256
"""Ranges named in one ack; the lowest are named, the rest wait for the next ack."""

RANGES_PER_SPOOL_MAX = 10_000
"""Separate ranges kept per (gateway, spool, stream); a batch that would open one more is not
taken, and so stays at the gateway until holes close."""

SNAPSHOT_INTERVAL_S = 60.0
"""A full snapshot of every asset at least this often."""

NEW_ASSETS_PER_GATEWAY_DAY_MAX = 1_000
"""Readings of further new assets of that gateway go to the dead letters for the day."""

AT_MIN_MS = 946_684_800_000
"""2000-01-01: a synced time before it is refused."""

AT_AHEAD_MAX_MS = 24 * 3600 * 1000
"""A synced time further ahead of the cloud's clock is refused."""

BACKLOG_BYTES_S = 20_000
"""Backlog rate a gateway may use until an ack says otherwise: little, for a thousand may come back
at once; the first ack comes within a second."""
