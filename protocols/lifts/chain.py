"""The record of a lift as a chain: each entry names the one before it by its hash and is signed.

What is signed is the text of the entry as it is kept, with its lift, its number and the hash of the
entry before inside: no entry passes for another one, at another place or of another lift. The last
entries of a chain cannot be missed by the chain itself, so its head (number and hash of the newest
entry) is kept apart from it, and the audit tells it once more.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import islice
from typing import Literal

import msgspec
from msgspec import Struct

from protocols.lifts.records import Kinds, Signer, Value
from protocols.lifts.rules import Event
from protocols.signed import Sign, Verify, bytes_to_sign

FIRST = "0" * 64
"""What the first entry follows."""
FaultKind = Literal["edited", "missing", "moved", "inserted", "unlinked", "unknown_key"]
FAULTS_MAX = 100
"""Told of one chain."""
WITHDRAWAL = "withdrawal"


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of a lift's record; never changed."""

    schema: Literal[1] = 1
    lift: str
    """Its asset id."""
    seq: int
    """From 1 on, without holes."""
    prev: str
    """Hash of the entry before; of the first one `FIRST`."""
    recorded_at: int
    """Ms since 1970."""
    by: str
    """Id of the principal that wrote it; `service` for what the service wrote itself."""
    organisation: str
    kind: str
    on: date
    about: int = 0
    fields: dict[str, Value] = {}
    signers: tuple[Signer, ...] = ()
    note: str = ""


class Kept(Struct, frozen=True, kw_only=True):
    """An entry as it is kept: its text, what proves it, and what was written beside it."""

    seq: int
    body: str
    hash: str
    signatures: tuple[tuple[str, str], ...]
    """(public key, signature) in hexadecimal."""
    kind: str
    on: str
    recorded_at: int
    about: int
    organisation: str


class Head(Struct, frozen=True):
    """Number and hash of the newest entry; 0 and `FIRST`: there is none."""

    seq: int = 0
    hash: str = FIRST


class ChainFault(Struct, frozen=True, kw_only=True):
    """What is wrong with a chain, and where."""

    seq: int
    what: FaultKind
    expected: str
    found: str


class Verdict(Struct, frozen=True, kw_only=True):
    """What a look at a whole chain found."""

    entries: int
    head: Head
    faults: tuple[ChainFault, ...] = ()
    """At most FAULTS_MAX, by their place."""

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


_decoder = msgspec.json.Decoder(Entry)


def seal_entry(entry: Entry, sign: Sign) -> Kept:
    """Write an entry as it is kept, and sign it."""
    body = msgspec.json.encode(entry, order="sorted").decode()
    signed = sign(bytes_to_sign("lift_record", body))
    return Kept(
        seq=entry.seq,
        body=body,
        hash=hash_of(body),
        signatures=tuple((key.hex(), signature.hex()) for key, signature in signed),
        kind=entry.kind,
        on=entry.on.isoformat(),
        recorded_at=entry.recorded_at,
        about=entry.about,
        organisation=entry.organisation,
    )


def hash_of(body: str) -> str:
    """Return the hash by which the next entry names one."""
    return hashlib.sha256(body.encode()).hexdigest()


def read_entry(body: str) -> Entry | None:
    """Return the entry in a text; None: there is none in it."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None


def verify_chain(
    lift: str, rows: Iterable[Kept], head: Head, keys: Collection[bytes], verify: Verify
) -> Verdict:
    """Look at a whole chain: find every edit, removal, swap and insertion, and where it is.

    Args:
        lift: its asset id.
        rows: all that is kept, by their numbers.
        head: the newest entry as it was kept apart.
        keys: raw public keys that are ours, or were.
        verify: Ed25519.

    """
    kept = list(rows)
    proofs = [_Proof(one, _state(one, keys, verify)) for one in kept]
    genuine = {
        one.entry.seq: one
        for one in proofs
        if one.entry is not None and one.state == "ours" and one.entry.lift == lift
    }
    faults = [*_row_faults(lift, proofs, genuine), *_gaps(proofs, genuine, head)]
    faults += _link_faults(genuine)
    last = genuine.get(head.seq)
    if last is not None and hash_of(last.row.body) != head.hash:
        faults.append(_fault(head.seq, "unlinked", f"hash {head.hash[:12]}", last.row.hash[:12]))
    faults = sorted(dict.fromkeys(faults), key=lambda one: (one.seq, one.what))
    return Verdict(entries=len(kept), head=head, faults=tuple(faults[:FAULTS_MAX]))


class _Proof:
    """A row with what it proves."""

    def __init__(self, row: Kept, state: str) -> None:
        self.row, self.state = row, state
        self.entry = read_entry(row.body)


def _state(row: Kept, keys: Collection[bytes], verify: Verify) -> str:
    """Tell whether a text is signed by us: `ours`, `unknown_key` or `bad`."""
    message, foreign = bytes_to_sign("lift_record", row.body), False
    for key_text, signature_text in row.signatures:
        try:
            key, signature = bytes.fromhex(key_text), bytes.fromhex(signature_text)
        except ValueError:
            continue
        if key not in keys:
            foreign = True
        elif verify(key, signature, message):
            return "ours"
    return "unknown_key" if foreign else "bad"


def _row_faults(
    lift: str, proofs: Sequence[_Proof], genuine: Mapping[int, _Proof]
) -> Iterator[ChainFault]:
    for one in proofs:
        seq, entry = one.row.seq, one.entry
        own = genuine.get(seq)
        if entry is None or one.state != "ours":
            if own is not None and own is not one:
                yield _fault(seq, "inserted", "no such entry", "one without our signature")
            elif one.state == "unknown_key" and entry is not None and entry.seq == seq:
                yield _fault(seq, "unknown_key", "a key of ours", one.row.signatures[0][0][:12])
            else:
                yield _fault(seq, "edited", "the text that was signed", "another one")
        elif entry.lift != lift:
            yield _fault(seq, "inserted", f"an entry of {lift}", f"one of {entry.lift}"[:80])
        elif entry.seq != seq:
            yield _fault(seq, "moved", f"entry {seq}", f"what was written as entry {entry.seq}")
        elif (wrong := _beside(one.row, entry)) is not None:
            yield _fault(seq, "edited", *wrong)


def _beside(row: Kept, entry: Entry) -> tuple[str, str] | None:
    """Return what is written beside an entry and does not agree with it."""
    told: dict[str, tuple[object, object]] = {
        "hash": (hash_of(row.body), row.hash),
        "kind": (entry.kind, row.kind),
        "on": (entry.on.isoformat(), row.on),
        "recorded_at": (entry.recorded_at, row.recorded_at),
        "about": (entry.about, row.about),
        "organisation": (entry.organisation, row.organisation),
    }
    for name, (expected, found) in told.items():
        if expected != found:
            return f"{name} {str(expected)[:64]}", str(found)[:64]
    return None


def _gaps(
    proofs: Sequence[_Proof], genuine: Mapping[int, _Proof], head: Head
) -> Iterator[ChainFault]:
    there = {one.row.seq for one in proofs} | set(genuine)
    last = max([head.seq, *genuine])
    missing = (seq for seq in range(1, last + 1) if seq not in there)
    for seq in islice(missing, FAULTS_MAX):  # a head may be bent to any number
        yield _fault(seq, "missing", "what was written", "nothing")
    for one in proofs:
        if not 1 <= one.row.seq <= last and one.row.seq not in genuine:
            yield _fault(one.row.seq, "inserted", "no such entry", f"one after entry {last}")
    for seq in genuine:
        if seq > head.seq:
            yield _fault(seq, "inserted", f"entry {head.seq} as the last", "a newer one")


def _link_faults(genuine: Mapping[int, _Proof]) -> Iterator[ChainFault]:
    for seq, one in genuine.items():
        before = genuine.get(seq - 1)
        expected = FIRST if seq == 1 else hash_of(before.row.body) if before else None
        found = one.entry.prev if one.entry is not None else ""
        if expected is not None and found != expected:
            text = f"one that follows {expected[:12]}"
            yield _fault(seq, "unlinked", text, f"one that follows {found[:12]}")


def _fault(seq: int, what: FaultKind, expected: str, found: str) -> ChainFault:
    return ChainFault(seq=seq, what=what, expected=expected, found=found)


def standing(entries: Iterable[Entry]) -> dict[int, Entry]:
    """Return the entries that count: neither corrected nor withdrawn since."""
    kept: dict[int, Entry] = {}
    for one in entries:
        target = kept.get(one.about)
        if target is not None and one.kind in (WITHDRAWAL, target.kind):
            del kept[one.about]
        if one.kind != WITHDRAWAL:
            kept[one.seq] = one
    return kept


def events_of(entries: Iterable[Entry], kinds: Kinds) -> list[Event]:
    """Return what a record does to the calendar; kinds that are no longer known do nothing."""
    found = []
    for one in standing(entries).values():
        kind = kinds.get(one.kind)
        event = kind.event(one.on, one.fields) if kind is not None else None
        if event is not None:
            found.append(event)
    return found


def confirmed(entries: Iterable[Entry], kinds: Kinds) -> set[int]:
    """Return the numbers of entries that a second one confirmed."""
    confirming = {name for name, kind in kinds.items() if kind.about == "confirms"}
    return {one.about for one in standing(entries).values() if one.kind in confirming}
