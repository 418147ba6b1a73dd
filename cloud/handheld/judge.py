"""What the service says of one record: taken, or in conflict with what it knows already."""

from collections.abc import Iterable

from sqlalchemy import Connection, select

from cloud.model.handheld_tables import handheld_record as table
from protocols.clock import iso
from protocols.handheld import Inspection, Record, Settled, Tag

AHEAD_MS = 24 * 3600 * 1000
"""A device whose clock is ahead by more says a time that cannot be."""
KEPT = ("taken", "conflict")


def conflict_of(
    connection: Connection, record: Record, store: str, now_ms: int, people: Iterable[str]
) -> Settled | None:
    """Return in what a record contradicts what is known; None where it does not.

    `people`: the ids of those who may sign for the organisation.
    """
    what = record.what
    if record.observed_at > now_ms + AHEAD_MS:
        return _conflict(record, "from_the_future", f"until {iso(now_ms)}", iso(record.observed_at))
    if isinstance(what, Inspection):
        signed = _signatures(record, what, frozenset(people))
        return signed or _inspected_elsewhere(connection, record, what, store)
    if isinstance(what, Tag):
        return _tag_taken(connection, record, what)
    return None


def _signatures(record: Record, what: Inspection, people: frozenset[str]) -> Settled | None:
    """An inspection counts by the signatures of two persons of the organisation."""
    signed = {one.person for one in what.signatures} & people
    if len(signed) < 2:
        return _conflict(record, "not_signed", "signatures of two inspectors", f"{len(signed)}")
    if len({one.sha256 for one in what.signatures}) > 1:
        return _conflict(record, "signed_apart", "both for the same content", "two digests")
    return None


def _inspected_elsewhere(
    connection: Connection, record: Record, what: Inspection, store: str
) -> Settled | None:
    """Another device brought an inspection that this one could not know of when it made its own."""
    query = (
        select(table.c.store, table.c.number, table.c.observed_at)
        .where(table.c.asset == what.asset, table.c.kind == "inspection")
        .where(table.c.store != store, table.c.outcome.in_(KEPT))
        .where(table.c.received_at > record.known_at)
        .order_by(table.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    found = f"inspected {iso(row.observed_at)}, record {row.number} of {row.store[:8]}"
    expected = f"no inspection of {what.asset} since {iso(record.known_at)}"
    return _conflict(record, "inspected_elsewhere", expected, found)


def _tag_taken(connection: Connection, record: Record, what: Tag) -> Settled | None:
    """One tag, one cylinder: whose tag came first keeps it."""
    query = (
        select(table.c.asset)
        .where(table.c.tag_uid == what.uid, table.c.asset != what.asset)
        .where(table.c.outcome == "taken")
        .order_by(table.c.id)
        .limit(1)
    )
    other = connection.execute(query).scalar()
    if other is None:
        return None
    return _conflict(record, "tag_taken", f"a tag of no cylinder but {what.asset}", other)


def _conflict(record: Record, reason: str, expected: str, found: str) -> Settled:
    return Settled(
        number=record.number, outcome="conflict", reason=reason, expected=expected, found=found
    )
