"""Looking at records as a whole: one lift's, or those of all."""

from collections.abc import Callable, Collection
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, select

from cloud.lifts.rows import entries_of, events_in, read_kept
from cloud.model.lift import LiftVerdict
from cloud.model.lift_tables import lift, lift_record
from cloud.model.people_tables import audit
from protocols.lifts.chain import ChainFault, Head, events_of, verify_chain
from protocols.lifts.due import compact
from protocols.lifts.records import Kinds
from protocols.signed import Verify

LIFTS_A_PAGE = 500
CALLS = ("lifts.record", "lifts.write", "lifts.inspect", "lifts.confirm")
TOLD_MAX = 20
"""Faults told of all lifts together; all are counted."""


def verify_lift(
    connection: Connection,
    row: RowMapping,
    kinds: Kinds,
    keys: Collection[bytes],
    verify: Verify,
) -> LiftVerdict:
    """Look at the whole record of a lift, and whether its calendar rests on it."""
    asset_id, head = row["asset_id"], Head(row["seq"], row["hash"])
    kept = read_kept(connection, asset_id)
    found = verify_chain(asset_id, kept, head, keys, verify)
    faults = [*found.faults, *_noted(connection, asset_id, head)]
    if not faults:
        faults += _calendar(row, compact(events_of(entries_of(kept), kinds)))
    return LiftVerdict(
        asset_id=asset_id,
        entries=found.entries,
        head=head,
        good=not faults,
        faults=tuple(faults),
    )


def _calendar(row: RowMapping, told: tuple[Any, ...]) -> list[ChainFault]:
    try:
        kept: tuple[Any, ...] | None = events_in(row)
    except msgspec.DecodeError:
        kept = None
    if kept == told:
        return []
    found = "another one" if kept is not None else "none that can be read"
    expected = "the calendar that the record tells"
    return [ChainFault(seq=0, what="edited", expected=expected, found=found)]


def _noted(connection: Connection, asset_id: str, head: Head) -> list[ChainFault]:
    """Ask the audit for a newer entry than the head tells: its end may be cut off with the head.

    The audit has a chain of its own, which `suyuan-cloud audit verify` looks at.
    """
    column = audit.c
    here = (column.subject == f"asset:{asset_id}", column.call.in_(CALLS))
    query = select(column.detail).where(*here).order_by(column.seq.desc()).limit(1_000)
    for text in connection.execute(query).scalars():
        detail = msgspec.json.decode(text)
        seq, hash_ = detail.get("entry"), detail.get("hash")
        if not isinstance(seq, int):
            continue
        if seq > head.seq:
            expected = f"entry {seq}, as the audit tells"
            found = f"entry {head.seq} as the last"
            return [ChainFault(seq=seq, what="missing", expected=expected, found=found)]
        mine = select(lift_record.c.hash).where(
            lift_record.c.asset_id == asset_id, lift_record.c.seq == seq
        )
        own = connection.execute(mine).scalar()
        if own is not None and own != hash_:
            expected, found = f"hash {str(hash_)[:12]}, as the audit tells", own[:12]
            return [ChainFault(seq=seq, what="edited", expected=expected, found=found)]
        break
    return []


def check_lifts(
    connection: Connection,
    kinds: Kinds,
    keys: Collection[bytes],
    verify: Verify,
    *,
    progress: Callable[[int], None] = lambda _count: None,
) -> tuple[list[str], int]:
    """Look at the records of all lifts; returns lines for a person, and the number of faults."""
    lines, after, lifts, entries, faults = list[str](), "", 0, 0, 0
    while True:
        query = select(lift).where(lift.c.asset_id > after).order_by(lift.c.asset_id)
        rows = connection.execute(query.limit(LIFTS_A_PAGE)).mappings().all()
        for row in rows:
            verdict = verify_lift(connection, row, kinds, keys, verify)
            lifts, entries = lifts + 1, entries + verdict.entries
            for fault in verdict.faults:
                faults += 1
                if len(lines) < TOLD_MAX:
                    lines.append(
                        f"lift {verdict.asset_id}: entry {fault.seq} {fault.what}: "
                        f"expected {fault.expected}, found {fault.found}"
                    )
            after = row["asset_id"]
        progress(lifts)
        if len(rows) < LIFTS_A_PAGE:
            break
    lost = _without_head(connection)
    lines += [f"lift {one}: a record, and no file" for one in lost[:TOLD_MAX]]
    faults += len(lost)
    return [f"lifts: {lifts} records of {entries} entries, {faults} faults", *lines], faults


def _without_head(connection: Connection) -> list[str]:
    """Return lifts whose file is gone and whose record is not."""
    known = select(lift.c.asset_id)
    query = select(lift_record.c.asset_id).where(lift_record.c.asset_id.not_in(known))
    return list(connection.execute(query.group_by(lift_record.c.asset_id)).scalars())
