"""The kinds of record in an envelope, and how one is checked (design 3)."""

from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from protocols.errors import RefuseInput
from protocols.ids import ASSET_ID, POINT_NAME
from protocols.limits import SEQ_MAX
from protocols.readings import Quality, Value
from protocols.topics import Stream

Name = Annotated[str, Meta(min_length=1, max_length=128)]
Ms = Annotated[int, Meta(ge=-SEQ_MAX, le=SEQ_MAX)]
Seq = Annotated[int, Meta(ge=1, le=SEQ_MAX)]


class Readings(Struct, frozen=True, kw_only=True, tag="readings", tag_field="kind", gc=False):
    """Columns of values of one asset; each column lines up with `at`."""

    asset: str
    at: Annotated[list[Ms], Meta(min_length=1, max_length=10_000)]
    values: dict[str, list[Value]]
    quality: dict[str, list[Quality]] = {}


class Code(Struct, frozen=True, gc=False):
    """One code of a scan, such as a tag's UID; `scheme` says how to read `value`."""

    scheme: Name
    value: Annotated[str, Meta(min_length=1, max_length=4096)]


class Verdict(Struct, frozen=True):
    """What the interlock decided about a cylinder, with all its reasons."""

    decision: Literal["fill", "do_not_fill", "cannot_decide"]
    reasons: list[str] = []
    rules_version: str = ""


class Scan(Struct, frozen=True, kw_only=True, tag="scan", tag_field="kind", omit_defaults=True):
    """One reading of a tag or bar code."""

    reader: Name
    at: Ms
    codes: Annotated[list[Code], Meta(min_length=1, max_length=64)]
    step: Name | None = None
    verdict: Verdict | None = None
    operator: str | None = None
    rssi_dbm: Annotated[int, Meta(ge=-200, le=100)] | None = None
    """How strong a UHF tag answered."""
    findings: Annotated[list[Name], Meta(max_length=16)] = []
    """Why no more codes could be told, or why they must not be trusted, in closed words."""


class Gap(Struct, frozen=True, kw_only=True, tag="gap", tag_field="kind"):
    """Batches from_seq..to_seq of (spool, stream) that will never be sent."""

    spool: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
    stream: Stream
    from_seq: Seq
    to_seq: Seq | None
    """None: the tail of a lost card, unknown."""
    from_at: Ms | None = None
    to_at: Ms | None = None
    reason: Name
    records: Annotated[int, Meta(ge=0, le=SEQ_MAX)] | None = None
    """Records lost; None when nobody knows."""


class Status(Struct, frozen=True, kw_only=True, tag="status", tag_field="kind"):
    """A gateway's word on its own health."""

    at: Ms
    uptime_s: Annotated[float, Meta(ge=0)]
    counters: dict[str, int | float] = {}


class Reply(Struct, frozen=True, kw_only=True, tag="reply", tag_field="kind"):
    """The answer to a command."""

    at: Ms
    command_id: Name
    ok: bool
    result: Any = None
    """Plain JSON data."""


FillStep = Literal[
    "decided",
    "released",
    "ended",
    "weighed",
    "checked",
    "interrupted",
    "without_verdict",
    "stuck",
    "cleared",
]
"""`decided`: a verdict, or a changed one; `released`: on disk before the gun may open; `ended`: the
gun is closed; `weighed`: the cylinder after it; `checked`: the questions after filling;
`interrupted`: the gateway ended while the gun was open; `without_verdict`: gas came in while it was
closed; `stuck`: the output is open unasked; `cleared`: a person has looked at a blocked place."""
FillFault = Literal[
    "fill_without_verdict",
    "filled_against_verdict",
    "overfilled",
    "overfill_untold",
    "lighter_than_before",
    "check_failed",
    "check_open",
]
"""What the rules of cylinders find after a filling."""


class FillReason(Struct, frozen=True, omit_defaults=True):
    """One reason of a decision at the gun, in a closed word, with what it rests on."""

    reason: Name
    decision: Literal["do_not_fill", "cannot_decide"]
    found: Annotated[str, Meta(max_length=256)] = ""


class Override(Struct, frozen=True):
    """Who took a decision upon himself, and why."""

    name: Name
    role: Name
    why: Annotated[str, Meta(min_length=1, max_length=256)]


class Fill(Struct, frozen=True, kw_only=True, tag="fill", tag_field="kind", omit_defaults=True):
    """One step of one cylinder's visit at a filling place; together they are its fill record."""

    gate: Name
    at: Ms
    number: Seq
    """Counts the records of this gate, never the same twice."""
    step: FillStep
    opening: Seq | None = None
    """Number of the `released` record that it belongs to."""
    asset: Annotated[str, Meta(max_length=128)] = ""
    """The cylinder; empty: not known which."""
    codes: Annotated[list[Code], Meta(max_length=64)] = []
    decision: Literal["fill", "do_not_fill", "cannot_decide"] | None = None
    reasons: Annotated[list[FillReason], Meta(max_length=64)] = []
    rules_version: str = ""
    snapshot_version: str = ""
    judged_on: str = ""
    """Local day by which it was judged, as `2026-03-15`; empty: nobody knew the day."""
    time_source: Literal["trusted", "unset", "set_back"] = "trusted"
    filler: str = ""
    gas: str = ""
    components: Annotated[list[str], Meta(max_length=16)] = []
    """Of a mixture that came out of the gun."""
    operator: str = ""
    checks: dict[str, bool] = {}
    """Answers to the physical checklist, as far as they were given; false: the worker said no."""
    override: Override | None = None
    before_kg: float | None = None
    after_kg: float | None = None
    net_kg: float | None = None
    limit_kg: float | None = None
    """The most that the scale may show, tare included."""
    why: Annotated[str, Meta(max_length=64)] = ""
    """A closed word: what ended the filling, or what was cleared."""
    faults: Annotated[list[FillFault], Meta(max_length=8)] = []


Record = Readings | Scan | Gap | Status | Reply | Fill

NAMES_KNOWN_MAX = 10_000
"""Point names found good are remembered, so many of them; a fleet uses some dozens."""

_known_names: set[str] = set()
_record: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
_encoder = msgspec.json.Encoder()


def encode_records(records: Sequence[Record]) -> bytes:
    """Write records as the JSON array that an envelope carries."""
    return _encoder.encode(records)


def decode_record(raw: bytes | msgspec.Raw) -> Record:
    """Read one record.

    Raises:
        RefuseInput: `unknown_kind` or `bad_record`, with what was expected and found.

    """
    try:
        record = _record.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        reason = "unknown_kind" if "`$.kind`" in str(error) else "bad_record"
        raise RefuseInput(reason, str(error)[:300]) from None
    check_record(record)
    return record


def check_record(record: Record) -> None:
    """Check what the types do not say.

    Raises:
        RefuseInput: `bad_record` or `bad_asset_id`.

    """
    if isinstance(record, Readings):
        _check_readings(record)
    elif isinstance(record, Gap) and record.to_seq is not None and record.to_seq < record.from_seq:
        raise RefuseInput("bad_record", f"gap from {record.from_seq} to {record.to_seq}")


def _check_readings(record: Readings) -> None:
    values = record.values
    if not ASSET_ID.fullmatch(record.asset):
        raise RefuseInput("bad_asset_id", f"expected scheme:code, found {record.asset[:80]!r}")
    length = len(record.at)
    if not _known_names.issuperset(values):
        _check_names(values)
    if not values or not _line_up(values.values(), length):
        raise RefuseInput("bad_record", _wrong_length(values, length))
    for name, qualities in record.quality.items():
        if name not in values or len(qualities) != length:
            raise RefuseInput(
                "bad_record", f"quality.{name[:80]}: expected {length} beside the values"
            )


def _line_up(columns: Collection[Sequence[Value]], length: int) -> bool:
    if length > 1:
        return set(map(len, columns)) == {length}
    try:
        for (_,) in columns:  # nearly always there is one moment: a third of the time
            pass
    except ValueError:
        return False
    return True


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        if not POINT_NAME.fullmatch(name):
            raise RefuseInput("bad_record", f"expected a point name, found {name[:80]!r}")
        if len(_known_names) < NAMES_KNOWN_MAX:
            _known_names.add(name)


def _wrong_length(values: dict[str, list[Value]], length: int) -> str:
    for name, column in values.items():
        if len(column) != length:
            return f"{name}: expected {length} values like at, found {len(column)}"
    return "expected at least one point in values, found none"
