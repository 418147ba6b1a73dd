"""What an enterprise platform sends of its lifts (GB/T 24476): items, parsed one by one.

The values are raw, as the platform's dialect writes them; only the frame is checked here.
"""

import hashlib
import re
from datetime import datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from protocols.clock import parse_time
from protocols.errors import RefuseInput
from protocols.lifts.dialect import RawCode

ITEMS_MAX = 500
"""Of one request; a larger one is refused whole."""
CODES_MAX = 64
"""Of one item."""
FIELDS_MAX = 64
DEPTH_MAX = 8
"""Lists and objects inside each other; an item needs three."""

RegistrationCode = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]
"""20 characters by the standard; another length is a finding, no reason to lose an alarm."""
ItemId = Annotated[str, Meta(max_length=64, pattern=r"^[\x21-\x7e]*\Z")]
Time = str | int
"""As `time_of` reads it."""
Field = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=200)]
Scalar = Annotated[str, Meta(max_length=64)] | int | float | bool | None
Codes = Annotated[
    list[Annotated[str, Meta(max_length=64)] | Annotated[int, Meta(ge=-(2**53), le=2**53)]],
    Meta(max_length=CODES_MAX),
]
Kind = Literal["status", "messages", "statistics", "basic"]


class Batch(Struct, frozen=True, forbid_unknown_fields=True):
    """A request: items that stay raw, so that a bad one spoils no other."""

    items: Annotated[list[Raw], Meta(min_length=1, max_length=ITEMS_MAX)]
    sent_at: Time | None = None
    """By the platform's clock at the moment of sending: tells how far that clock is off."""


class StatusItem(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state of one lift at one moment (clause 9)."""

    registration_code: RegistrationCode
    time_stamps: Time
    values: Annotated[dict[Field, Scalar], Meta(max_length=FIELDS_MAX)] = {}
    message_code: Codes | None = None
    """All that stands at that moment; missing: not told."""
    item_id: ItemId = ""


class MessageItem(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Faults, events and alarms that began, or ended (clause 11)."""

    registration_code: RegistrationCode
    time_stamps: Time
    message_code: Annotated[Codes, Meta(min_length=1)]
    state: Literal["begin", "end"] = "begin"
    item_id: ItemId = ""


class StatisticsItem(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Counters of one lift (clause 10)."""

    registration_code: RegistrationCode
    time_stamps: Time
    values: Annotated[dict[Field, Scalar], Meta(min_length=1, max_length=FIELDS_MAX)]
    item_id: ItemId = ""


class Basic(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Static information of one lift (clause 8); what is not told stays empty."""

    use_certificate: Text = ""
    unit_trace_code: Text = ""
    equipment_code: Text = ""
    rescue_code: Text = ""
    category_code: Text = ""
    """This and the two below: four digits each, of the Special Equipment Catalogue."""
    class_code: Text = ""
    type_code: Text = ""
    model: Text = ""
    serial_number: Text = ""
    manufacturer: Text = ""
    manufactured_on: Text = ""
    installer: Text = ""
    installed_on: Text = ""
    maintenance_unit: Text = ""
    user_unit: Text = ""
    in_house_number: Text = ""
    rescue_phone: Text = ""
    address: Text = ""
    floors: Annotated[int, Meta(ge=0, le=1_000)] | None = None
    stations: Annotated[int, Meta(ge=0, le=1_000)] | None = None
    doors: Annotated[int, Meta(ge=0, le=1_000)] | None = None
    rated_speed_m_s: Annotated[float, Meta(ge=0, le=30)] | None = None
    rated_load_kg: Annotated[float, Meta(ge=0, le=100_000)] | None = None
    area_code: Text = ""
    """GB/T 2260."""


class BasicItem(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Static information as a platform declares it."""

    registration_code: RegistrationCode
    operation: Literal["UPLOAD", "UPDATE", "DELETE"]
    time_stamps: Time
    """When it was done."""
    basic: Basic = Basic()
    item_id: ItemId = ""


Item = StatusItem | MessageItem | StatisticsItem | BasicItem
TYPES: dict[Kind, type[Item]] = {
    "status": StatusItem,
    "messages": MessageItem,
    "statistics": StatisticsItem,
    "basic": BasicItem,
}
_DIGITS = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})")
_T = TypeVar("_T")


def read_item(raw: bytes, kind: Kind) -> Item:
    """Parse one item.

    Raises:
        RefuseInput: `bad_item`, with what was expected and found.

    """
    return _read(raw, TYPES[kind], "bad_item")


def read_batch(raw: bytes) -> Batch:
    """Parse a request down to its items; RefuseInput `bad_request`."""
    return _read(raw, Batch, "bad_request")


def time_of(told: Time, zone: str) -> int:
    """Read a time in ms since 1970: ms, ISO 8601, `2026-01-02 03:04:05` or `20260102030405`.

    `zone`: of a time that names none, such as `+08:00`. RefuseInput `bad_time`.
    """
    if isinstance(told, int):
        return told
    text = told.strip()[:40]
    if digits := _DIGITS.fullmatch(text):
        year, month, day, hour, minute, second = digits.groups()
        text = f"{year}-{month}-{day}T{hour}:{minute}:{second}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return parse_time(text)  # which says what is expected
    return parse_time(text if moment.tzinfo else f"{moment.isoformat()}{zone}")


def key_of(kind: Kind, item: Item) -> str:
    """Return what is the same for the same item sent again: its id, else all that it says."""
    plain = item.item_id.encode() if item.item_id else msgspec.json.encode(item, order="sorted")
    mark = b"id" if item.item_id else b"content"
    return hashlib.sha256(b"%b %b %b" % (kind.encode(), mark, plain)).hexdigest()[:32]


def content_of(item: Item) -> str:
    """Return what tells an item from another one that was given the same id."""
    plain = msgspec.json.encode(item, order="sorted")
    return hashlib.sha256(plain).hexdigest()[:16]


def _read(raw: bytes, type_: type[_T], reason: str) -> _T:
    try:
        return msgspec.json.decode(raw, type=type_)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RefuseInput(reason, str(error)[:300]) from None


__all__ = ["Batch", "Item", "Kind", "RawCode", "content_of", "key_of", "read_batch", "read_item"]
