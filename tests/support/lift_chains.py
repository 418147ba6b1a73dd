"""Chains of a lift's record, and ways of bending them."""

import random
from collections.abc import Callable, Sequence
from datetime import date, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec.structs import replace

from protocols.lifts.chain import FIRST, Entry, Head, Kept, hash_of, read_entry, seal_entry
from protocols.lifts.records import Signer

LIFT, OTHER = "elevator:31102202022026010017", "elevator:31102202022026010018"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(32))
KEYS = frozenset({KEY.public_key().public_bytes_raw()})
Sign = Callable[[bytes], Sequence[tuple[bytes, bytes]]]


def signing(key: Ed25519PrivateKey = KEY) -> Sign:
    """Return what signs by a key."""
    return lambda message: [(key.public_key().public_bytes_raw(), key.sign(message))]


def verify(key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether an Ed25519 signature is good."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def make_chain(length: int, lift: str = LIFT, key: Ed25519PrivateKey = KEY) -> list[Kept]:
    """Return a chain of so many entries of maintenance."""
    rows: list[Kept] = []
    for seq in range(1, length + 1):
        entry = Entry(
            lift=lift,
            seq=seq,
            prev=hash_of(rows[-1].body) if rows else FIRST,
            recorded_at=1_764_000_000_000 + seq,
            by="account:7",
            organisation="firm-m",
            kind="maintenance",
            on=date(2024, 1, 1) + timedelta(days=15 * seq),
            fields={"level": "half_month"},
            signers=(Signer(role="worker", name="张保"),),
            note=f"第{seq}次",
        )
        rows.append(seal_entry(entry, signing(key)))
    return rows


def head_of(rows: Sequence[Kept]) -> Head:
    """Return the head that is kept apart."""
    return Head(rows[-1].seq, rows[-1].hash) if rows else Head()


def bend(rng: random.Random, rows: list[Kept]) -> tuple[list[Kept], set[int], str]:
    """Bend a chain in one way; returns it, the places of which one must be told, and the way."""
    way = rng.choice(sorted(WAYS))
    at = rng.randrange(len(rows))
    bent, places = WAYS[way](rng, list(rows), at)
    return bent, places, way


def _edit_body(rng: random.Random, rows: list[Kept], at: int) -> tuple[list[Kept], set[int]]:
    body = rows[at].body
    place = rng.randrange(len(body))
    other = rng.choice([one for one in "0123456789abcdef张" if one != body[place]])
    rows[at] = replace(rows[at], body=body[:place] + other + body[place + 1 :])
    return rows, {at + 1}


def _edit_whole(rng: random.Random, rows: list[Kept], at: int) -> tuple[list[Kept], set[int]]:
    """Change an entry with all hashes after it, as who has no key can."""
    entry = read_entry(rows[at].body)
    assert entry is not None
    return _forged(rows, at, replace(entry, note=f"{rng.random()}"), STRANGER), {at + 1}


def _forged(
    rows: list[Kept], at: int, entry: Entry, key: Ed25519PrivateKey, until: int | None = None
) -> list[Kept]:
    for place in range(at, len(rows) if until is None else until):
        if place > at:
            found = read_entry(rows[place].body)
            assert found is not None
            entry = replace(found, prev=rows[place - 1].hash)
        made = seal_entry(entry, signing(key))
        rows[place] = replace(made, signatures=rows[place].signatures)
    return rows


def _edit_column(rng: random.Random, rows: list[Kept], at: int) -> tuple[list[Kept], set[int]]:
    name, value = rng.choice(
        [
            ("kind", "fault"),
            ("on", "2020-01-01"),
            ("recorded_at", 1),
            ("about", 3),
            ("organisation", "firm-x"),
            ("hash", "f" * 64),
            ("signatures", ()),
            ("signatures", (("zz", "zz"),)),
            ("body", ""),
            ("body", "[" * 5_000),
        ]
    )
    rows[at] = replace(rows[at], **{name: value})
    return rows, {at + 1}


def _remove(_rng: random.Random, rows: list[Kept], at: int) -> tuple[list[Kept], set[int]]:
    del rows[at]
    return rows, {at + 1}


def _remove_closing_up(
    _rng: random.Random, rows: list[Kept], at: int
) -> tuple[list[Kept], set[int]]:
    last = at == len(rows) - 1
    del rows[at]
    rows[at:] = [replace(one, seq=one.seq - 1) for one in rows[at:]]
    return rows, {len(rows) + 1} if last else {at + 1}


def _cut_tail(_rng: random.Random, rows: list[Kept], at: int) -> tuple[list[Kept], set[int]]:
    return rows[:at], {at + 1}


def _swap(rng: random.Random, rows: list[Kept], at: int) -> tuple[list[Kept], set[int]]:
    other = rng.choice([place for place in range(len(rows)) if place != at])
    one, two = rows[at], rows[other]
    rows[at], rows[other] = replace(two, seq=one.seq), replace(one, seq=two.seq)
    return rows, {at + 1, other + 1}


def _insert(_rng: random.Random, rows: list[Kept], at: int) -> tuple[list[Kept], set[int]]:
    rows[at:] = [replace(one, seq=one.seq + 1) for one in rows[at:]]
    entry = read_entry(rows[0].body)
    assert entry is not None
    made = replace(entry, seq=at + 1, note="x")
    rows.insert(at, seal_entry(made, signing(STRANGER)))
    return rows, {at + 1}


def _append(_rng: random.Random, rows: list[Kept], _at: int) -> tuple[list[Kept], set[int]]:
    entry = read_entry(rows[-1].body)
    assert entry is not None
    made = replace(entry, seq=len(rows) + 1, prev=rows[-1].hash)
    rows.append(seal_entry(made, signing(STRANGER)))
    return rows, {len(rows)}


def _from_other_lift(_rng: random.Random, rows: list[Kept], at: int) -> tuple[list[Kept], set[int]]:
    rows[at] = make_chain(at + 1, OTHER)[at]
    return rows, {at + 1}


def _twice(_rng: random.Random, rows: list[Kept], at: int) -> tuple[list[Kept], set[int]]:
    other = (at + 1) % len(rows)
    rows[at] = replace(rows[other], seq=at + 1)
    return rows, {at + 1}


WAYS: dict[str, Callable[[random.Random, list[Kept], int], tuple[list[Kept], set[int]]]] = {
    "edit of the text": _edit_body,
    "edit with all hashes after it": _edit_whole,
    "edit beside the text": _edit_column,
    "removal": _remove,
    "removal, closed up": _remove_closing_up,
    "the end cut off": _cut_tail,
    "swap": _swap,
    "insertion": _insert,
    "appended": _append,
    "an entry of another lift": _from_other_lift,
    "an entry twice": _twice,
}
