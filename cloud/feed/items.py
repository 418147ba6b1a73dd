"""Items of the feed taken apart, and whether somebody wants one."""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select

from cloud.model import tables
from cloud.model.alarm import FeedItem, Severity
from cloud.model.asset import Asset
from cloud.model.principal import Scope
from cloud.model.receiver import FeedEvent, FeedFilter
from cloud.model.visible import sees_asset
from protocols.clock import parse_time
from protocols.errors import RefuseInput
from protocols.ids import scheme_of

IDS_MAX = 400
"""Of one query: SQLite takes 999 parameters at the least."""
ENDED: frozenset[str] = frozenset(
    ("normal", "closed", "false_alarm", "cancelled", "merged"),
)
OVER: frozenset[str] = ENDED | {
    "return_to_normal_unacknowledged",
    "latched_unacknowledged",
    "latched_acknowledged",
}
"""The condition itself has ended."""
HELD_BACK: frozenset[str] = frozenset(("shelved", "suppressed_by_design", "out_of_service"))


class About(Struct, frozen=True, kw_only=True):
    """What an item says, as far as receivers need it; times are ISO 8601 text."""

    id: int
    change: str
    asset: str
    state: str
    severity: Severity
    changed_at: str
    alert: str | None = None
    evidence: str | None = None
    drill: bool = False
    late: bool = False
    summary: str = ""
    summary_zh: str = ""
    raised_at: str | None = None
    detected_at: str | None = None
    number: str | None = None
    level: int | None = None
    people: int | None = None


class Place(Struct, frozen=True, kw_only=True):
    """Where an asset is, as it was registered when somebody looked."""

    name: str = ""
    district: str = ""
    address: str = ""
    latitude: float | None = None
    longitude: float | None = None
    division: str = ""
    """Of GB/T 2260, six digits."""


class Item(Struct, frozen=True, kw_only=True):
    """One item, readable."""

    offset: int
    event: FeedEvent
    data: str
    about: About
    place: Place = Place()

    @property
    def thing(self) -> str:
        """The alarm or rescue that it tells of, such as `alarm:12`."""
        return f"{self.event}:{self.about.id}"

    @property
    def at(self) -> int:
        """When it happened, ms since 1970."""
        return parse_time(self.about.changed_at)

    @property
    def urgent(self) -> bool:
        """Whether it goes before everything else."""
        return self.about.severity == "emergency"

    @property
    def ended(self) -> bool:
        """Whether nobody has to do anything about it any more."""
        return self.about.state in ENDED

    @property
    def page(self) -> str:
        """The path of its page."""
        return f"/{'rescue' if self.event == 'incident' else 'alarms'}/{self.about.id}"

    @property
    def over(self) -> bool:
        """Whether what it tells of has ended, acknowledged or not, or is held back."""
        return self.about.state in OVER or self.about.state in HELD_BACK

    @property
    def started_at(self) -> int:
        """When it began, ms since 1970."""
        return parse_time(self.about.raised_at or self.about.detected_at or self.about.changed_at)

    def title(self, language: Literal["zh", "en"]) -> str:
        """Return what it is about in one line."""
        about = self.about
        chosen = about.summary_zh if language == "zh" else about.summary
        if chosen:
            return chosen
        if self.event == "incident":
            kind = "救援" if language == "zh" else "Rescue"
            alert = about.alert if language == "en" else None  # a word of ours, in English
            return " ".join(filter(None, (kind, about.number, alert)))
        return about.alert or self.event


_decode = msgspec.json.Decoder(About).decode


def read_item(item: FeedItem) -> Item | None:
    """Take an item apart; None: it cannot be read, which no writer of ours brings about."""
    try:
        about = _decode(item.data)
        parse_time(about.changed_at)
    except (msgspec.DecodeError, RefuseInput):
        return None
    return Item(offset=item.offset, event=item.event, data=item.data, about=about)


def wants(wanted: FeedFilter, item: Item, district: str) -> bool:
    """Tell whether a filter lets an item pass."""
    about = item.about
    return (
        (wanted.drills or not about.drill)
        and (not wanted.events or item.event in wanted.events)
        and (not wanted.severities or about.severity in wanted.severities)
        and (not wanted.alerts or about.alert in wanted.alerts)
        and (not wanted.changes or about.change in wanted.changes)
        and (not wanted.districts or district in wanted.districts)
    )


def places_of(
    connection: Connection,
    assets: Sequence[str],
    scope: Scope,
    division_of: Callable[[str], str] = lambda _asset: "",
) -> dict[str, Place]:
    """Return where those of the assets are that the scope admits, registered or not.

    `division_of`: tells of an asset the division that its code holds, empty: none.
    """
    column, found = tables.asset.c, dict[str, Place]()
    for at in range(0, len(assets), IDS_MAX):
        part = list(assets[at : at + IDS_MAX])
        query = select(
            column.asset_id,
            column.name,
            column.district,
            column.attributes,
            sees_asset(scope, column.asset_id).label("seen"),
        ).where(column.asset_id.in_(part))
        rows = {row.asset_id: row for row in connection.execute(query)}
        for asset in part:
            row = rows.get(asset)
            if row is None:
                unknown = Asset(asset_id=asset, kind=scheme_of(asset), registered=False)
                found |= {asset: Place()} if scope.admits(unknown) else {}
            elif row.seen:
                found[asset] = _place(row.name, row.district, row.attributes)
    return {
        asset: place
        if place.division
        else msgspec.structs.replace(place, division=division_of(asset))
        for asset, place in found.items()
    }


@lru_cache(maxsize=4_096)
def _place(name: str, district: str, attributes: str) -> Place:
    known: dict[str, Any] = json.loads(attributes or "{}")
    address, division = known.get("address"), known.get("division")
    return Place(
        name=name,
        district=district,
        address=address if isinstance(address, str) else "",
        latitude=_degrees(known.get("latitude"), 90),
        longitude=_degrees(known.get("longitude"), 180),
        division=division if isinstance(division, str) and division.isdigit() else "",
    )


def _degrees(value: object, most: float) -> float | None:
    """Read an angle; people write attributes as text, too."""
    if not isinstance(value, (int, float, str)) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if -most <= number <= most else None
