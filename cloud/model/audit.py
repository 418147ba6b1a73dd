"""The audit: what was done and what was looked at, each entry bound to the one before it.

All is proven by HMAC-SHA-256 under a key that is not in the database. The hash of an entry is its
*seal*, over its own columns, and its *link*, over the seal and the head before it: the seal finds
what was edited or stands at another place, the link what follows another entry than it should.

The head, in a table of one row, has a MAC of its own over number and hash of the newest entry. The
next entry's link is made of that MAC as it is read, right or wrong: who cuts entries off cannot
make the head that the shorter audit would have, and the next entry does not fit what is left. A
wrong head stops nobody: alarms are still acknowledged, and `suyuan-cloud audit verify` tells.
"""

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, func, insert, select, update

from cloud.model.database import take_turn
from cloud.model.people_tables import audit, audit_head
from cloud.model.principal import Granted

FIRST_HASH = "0" * 64
"""Stands before the first entry."""
TURN = "audit"
DETAIL_CHARS_MAX = 4_000
HALF = 32
"""Hexadecimal digits of a seal and of a link: 128 bits each."""
COLUMNS = ("seq", "recorded_at", "by", "organisation", "call", "subject", "detail")
"""What a seal covers, in this order."""

# made once: SQLAlchemy takes longer to make them than the database to carry them out
_HEAD = select(audit_head.c.seq, audit_head.c.hash, audit_head.c.mac)
_NEWEST = select(func.max(audit.c.seq))
_HEAD_AND_NEWEST = _HEAD.add_columns(_NEWEST.scalar_subquery())
_INSERT = insert(audit)
_SET_HEAD = update(audit_head).values(
    seq=bindparam("head_seq"), hash=bindparam("head_hash"), mac=bindparam("head_mac")
)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did or looked at; no name of a person, no secret."""

    recorded_at: int
    """ms since 1970."""
    by: str
    """Id of the principal, such as `account:12`; `system` for what the service does itself."""
    organisation: str = ""
    call: str
    """As in calls.toml."""
    subject: str
    """What it was about: `asset:elevator:3110…`, `account:12`, `organisation:…`."""
    detail: Mapping[str, Any] = {}
    """Names of what changed, ids and states, as JSON."""


class Head(msgspec.Struct, frozen=True):
    """The newest entry, and the proof that it was."""

    seq: int
    """0: there is none yet."""
    hash: str
    mac: str


def entry_of(granted: Granted, now_ms: int, subject: str, **detail: Any) -> Entry:
    """Return the entry of a call that was granted."""
    return Entry(
        recorded_at=now_ms,
        by=granted.principal.id,
        organisation=granted.principal.organisation or "",
        call=granted.call,
        subject=subject,
        detail=detail,
    )


def append(connection: Connection, key: bytes, *entries: Entry) -> None:
    """Write entries inside the caller's transaction, after all that are committed."""
    if not entries:
        return
    take_turn(connection, TURN)
    found = connection.execute(_HEAD_AND_NEWEST).first()
    if found is None:
        head, newest = _begin(connection, key), connection.execute(_NEWEST).scalar()
    else:
        head, newest = Head(*found[:3]), found[3]
    seq, rows = max(head.seq, newest or 0), []
    for entry in entries:
        seq += 1
        fields = _fields(seq, entry)
        seal = seal_of(key, fields)
        hash_ = seal + link_of(key, head.mac, seal)
        head = head_of(key, seq, hash_)
        rows.append({**fields, "hash": hash_})
    connection.execute(_INSERT, rows)
    new = {"head_seq": head.seq, "head_hash": head.hash, "head_mac": head.mac}
    connection.execute(_SET_HEAD, new)


def open_head(connection: Connection, key: bytes) -> None:
    """Make the head of an audit that has no entries yet, so that its key is settled."""
    take_turn(connection, TURN)
    _begin(connection, key)


def read_head(connection: Connection) -> Head | None:
    """Return the head as it is written, None when there is none."""
    row = connection.execute(_HEAD).first()
    return None if row is None else Head(*row)


def is_proven(connection: Connection, key: bytes) -> bool:
    """Tell whether the head is as the service wrote it."""
    head = read_head(connection)
    return head is not None and head_of(key, head.seq, head.hash) == head


def head_of(key: bytes, seq: int, hash_: str) -> Head:
    """Return the head that an entry makes; its MAC has 64 hexadecimal digits."""
    return Head(seq, hash_, mac_of(key, ["head", seq, hash_]))


def seal_of(key: bytes, fields: Mapping[str, Any]) -> str:
    """Return the first half of an entry's hash, over its columns."""
    return mac_of(key, ["seal", *(fields[name] for name in COLUMNS)])[:HALF]


def link_of(key: bytes, head_mac: str, seal: str) -> str:
    """Return the second half: what it follows."""
    return mac_of(key, ["link", head_mac, seal])[:HALF]


def _begin(connection: Connection, key: bytes) -> Head:
    """Make the head before the first entry; entries that are there already do not fit it."""
    first = head_of(key, 0, FIRST_HASH)
    connection.execute(insert(audit_head).values(id=1, **msgspec.structs.asdict(first)))
    return first


def _fields(seq: int, entry: Entry) -> dict[str, Any]:
    return {
        "seq": seq,
        "recorded_at": entry.recorded_at,
        "by": _kept(entry.by, 64),
        "organisation": _kept(entry.organisation, 32),
        "call": _kept(entry.call, 48),
        "subject": _kept(entry.subject, 128),
        "detail": _detail(entry.detail),
    }


def _kept(text: str, chars_max: int) -> str:
    """Write a text as the column keeps it, for the seal is over what will be read again."""
    return text[:chars_max].replace("\0", "\ufffd")


def _detail(detail: Mapping[str, Any]) -> str:
    text = msgspec.json.encode(detail, order="sorted").decode()
    if len(text) <= DETAIL_CHARS_MAX:
        return text
    return msgspec.json.encode({"too_long": len(text), "names": sorted(detail)[:50]}).decode()


def mac_of(key: bytes, content: Sequence[Any]) -> str:
    """Return the MAC of a content that begins with what it is, in 64 hexadecimal digits."""
    return hmac.digest(key, msgspec.json.encode(content), "sha256").hex()
