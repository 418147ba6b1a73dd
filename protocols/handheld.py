"""What a handheld sends of the work done with it, and what it is answered, record by record.

A record is named by the state folder that it was made in (`store`, a random id) and its number
there. Whoever carries it to the service, and however often, it counts once.
"""

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

StoreId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
Number = Annotated[int, Meta(ge=1, le=2**53)]
AtMs = Annotated[int, Meta(ge=0, le=2**53)]
"""Milliseconds since 1970 UTC."""
Person = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
"""The id by which the service let this person in on the device."""
Asset = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}:[A-Za-z0-9._-]{1,64}\Z")]
Word = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
"""SHA-256."""
Text = Annotated[str, Meta(max_length=500)]
TagUid = Annotated[str, Meta(pattern=r"^[0-9A-F]{8,20}\Z")]

BATCH_RECORDS_MAX = 200
RECORD_BYTES_MAX = 32 * 1024
BATCH_BYTES_MAX = 256 * 1024
COUNT_MAX = 100
"""Things of a shelf, of each of the three kinds: of that many the record keeps its bound."""
PHOTO_BYTES_MAX = 8 * 1024 * 1024
"""Of one photo; each is sent by itself."""
TimeSource = Literal["service", "device", "doubtful"]
"""Counted on from the service's word; the device's clock; that clock was unset or set back."""


class Position(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where it was done, WGS 84."""

    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Annotated[float, Meta(ge=-180, le=180)]
    accuracy_m: Annotated[float, Meta(ge=0, le=100_000)] | None = None


class Photo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture that lies on the device, and is sent by itself under its digest."""

    file: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^/\x00-\x1f]+\Z")]
    sha256: Digest
    size_bytes: Annotated[int, Meta(ge=1, le=2**40)]


class Scan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="scan"):
    """Something was scanned, and what the device said of it."""

    text: Annotated[str, Meta(min_length=1, max_length=4096)]
    asset: Asset | None = None
    """None: no cylinder was recognised in it."""
    decision: Literal["fill", "do_not_fill", "cannot_decide"] | None = None
    reasons: Annotated[tuple[Word, ...], Meta(max_length=64)] = ()
    rules_version: Annotated[str, Meta(max_length=64)] = ""


class Finding(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One finding, by its code in the form."""

    code: Word
    note: Text = ""


class Instruction(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must be put right, and by which day."""

    text: Annotated[str, Meta(min_length=1, max_length=500)]
    due_on: date


class Signature(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person gave the PIN for exactly this content."""

    person: Person
    signed_at: AtMs
    sha256: Digest
    """Of `signed_content`."""


class Inspection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="inspection"):
    """An inspection on the spot, by two inspectors."""

    asset: Asset
    form: Word
    """The file in `firmware_config/inspections`."""
    outcome: Literal["passed", "instructed", "stopped"]
    findings: Annotated[tuple[Finding, ...], Meta(max_length=64)] = ()
    instruction: Instruction | None = None
    photos: Annotated[tuple[Photo, ...], Meta(max_length=16)] = ()
    position: Position | None = None
    recheck_of: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}:[0-9]{1,16}\Z")] | None = None
    """`STORE:NUMBER` of the inspection whose instruction is looked at again."""
    signatures: Annotated[tuple[Signature, ...], Meta(max_length=2)] = ()


class Count(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="count"):
    """What was found on a shelf; of more than COUNT_MAX things several counts are made."""

    place: Annotated[str, Meta(min_length=1, max_length=64)]
    found: Annotated[tuple[Asset, ...], Meta(max_length=COUNT_MAX)] = ()
    missing: Annotated[tuple[Asset, ...], Meta(max_length=COUNT_MAX)] = ()
    """Expected, and not found."""
    unexpected: Annotated[tuple[Asset, ...], Meta(max_length=COUNT_MAX)] = ()


class Tag(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="tag"):
    """A tag was put on a cylinder."""

    asset: Asset
    uid: TagUid
    replaces: TagUid | None = None


What = Scan | Inspection | Count | Tag


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing done with a handheld; written once, never changed."""

    number: Number
    """Rises by each record of the store; a number is never used twice."""
    observed_at: AtMs
    time_source: TimeSource
    person: Person
    known_at: AtMs
    """The service's time when the device last had its data; 0: never."""
    what: What


class Batch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Records on their way; each is settled by itself."""

    store: StoreId
    records: Annotated[tuple[Raw, ...], Meta(min_length=1, max_length=BATCH_RECORDS_MAX)]


Outcome = Literal["taken", "known", "conflict", "refused"]
"""Taken now; was here already; kept, but it contradicts what is known; kept apart, of no use."""


class Settled(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The service's word on one record; it has kept the record whatever it says."""

    number: int
    outcome: Outcome
    reason: str = ""
    """A closed word: `inspected_elsewhere`, `tag_taken`, `number_reused`, …"""
    expected: str = ""
    found: str = ""


class Answer(Struct, frozen=True, kw_only=True):
    """The answer to a batch: one word for each of its records, in their order."""

    time: AtMs
    """The service's."""
    settled: tuple[Settled, ...]


class Contact(Struct, frozen=True, kw_only=True):
    """What a handheld is told when it asks who it is."""

    time: AtMs
    person: str
    name: str
    """Of the person, for the screen."""
    organisation: str
    offline_grace_s: int
    fills: bool = False
    """Whether the organisation is a filling unit: its people judge for its own gates."""


class _Numbered(Struct, frozen=True):
    number: Number | UnsetType = UNSET


_numbered = msgspec.json.Decoder(_Numbered)


def number_of(raw: bytes) -> int | None:
    """Return the number of a record that may be wrong otherwise; None where it tells none."""
    try:
        number = _numbered.decode(raw).number
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return None if number is UNSET else number


def signed_content(inspection: Inspection) -> bytes:
    """Return what the inspectors sign: all of an inspection but the signatures."""
    bare = msgspec.structs.replace(inspection, signatures=())
    return msgspec.json.encode(bare, order="deterministic")
