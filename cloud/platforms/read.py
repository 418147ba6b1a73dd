"""From the raw items of a request to what each means, before anything is written: pure."""

from collections.abc import Callable, Sequence

import msgspec

from protocols.errors import RefuseInput
from protocols.lifts.dialect import Decoded, Dialect, emergencies
from protocols.lifts.gbt24476 import (
    BasicItem,
    Item,
    Kind,
    MessageItem,
    StatisticsItem,
    StatusItem,
    content_of,
    key_of,
    read_item,
    time_of,
)
from protocols.limits import AT_AHEAD_MAX_MS, AT_MIN_MS

Admit = Callable[[str], tuple[str, str] | None]
"""Asset id -> None to take it, or reason and detail to set it aside."""
NOTHING = Decoded({}, {}, None, (), (), ())


class Came(msgspec.Struct, frozen=True, kw_only=True):
    """An item that can be taken, if it has not been."""

    index: int
    raw: bytes
    item: Item
    asset: str
    at: int
    """Of the lift, ms since 1970; of its receipt where `placed`."""
    placed: bool
    decoded: Decoded
    key: str
    content: str
    offset_ms: int | None
    """Its receipt less its own time; None: that cannot be read."""

    @property
    def emergency(self) -> bool:
        """Tell whether it calls for people at once."""
        return not emergencies().isdisjoint(self.decoded.codes or ())


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """An item that is not taken."""

    index: int
    raw: bytes
    reason: str
    detail: str
    again: bool = False
    """It is to be sent again later, so no dead letter is kept."""


def read_items(
    raws: Sequence[bytes], kind: Kind, dialect: Dialect, admit: Admit, received_at: int
) -> list[Came | Refused]:
    """Read every item by itself."""
    found: list[Came | Refused] = []
    for index, raw in enumerate(raws):
        try:
            found.append(_read(index, raw, kind, dialect, admit, received_at))
        except RefuseInput as error:
            refused = Refused(index=index, raw=raw, reason=error.reason, detail=error.detail)
            found.append(refused)
    return found


def _read(
    index: int, raw: bytes, kind: Kind, dialect: Dialect, admit: Admit, received_at: int
) -> Came:
    item = read_item(raw, kind)
    asset = f"elevator:{item.registration_code}"
    if aside := admit(asset):
        raise RefuseInput(*aside)
    decoded = _decode(item, dialect)
    is_emergency = not emergencies().isdisjoint(decoded.codes or ())
    at, fault = _time(item, dialect, received_at)
    if fault is not None and not is_emergency:
        raise fault
    return Came(
        index=index,
        raw=raw,
        item=item,
        asset=asset,
        at=received_at if fault else at,
        placed=fault is not None,
        decoded=decoded,
        key=key_of(kind, item),
        content=content_of(item),
        offset_ms=received_at - at if at else None,
    )


def _time(item: Item, dialect: Dialect, received_at: int) -> tuple[int, RefuseInput | None]:
    """Return the time of an item, 0 when it has none, and why it cannot be its time."""
    try:
        at = time_of(item.time_stamps, dialect.time_zone)
    except RefuseInput as error:
        return 0, error
    if AT_MIN_MS <= at <= received_at + AT_AHEAD_MAX_MS:
        return at, None
    detail = f"expected a time from 2000 to now + 24 h, found {str(item.time_stamps)[:40]!r}"
    return at, RefuseInput("time_out_of_range", detail)


def _decode(item: Item, dialect: Dialect) -> Decoded:
    if isinstance(item, StatusItem):
        if not item.values and item.message_code is None:
            raise RefuseInput("bad_item", "expected values or message_code, found neither")
        return dialect.decode(item.values, item.message_code)
    if isinstance(item, MessageItem):
        return dialect.decode({}, item.message_code)
    if isinstance(item, StatisticsItem):
        return dialect.decode(item.values)
    assert isinstance(item, BasicItem)  # noqa: S101  # there is no other kind
    return NOTHING


__all__ = ["Admit", "Came", "Refused", "read_items"]
