"""What the rescue pages show of incidents, worked out beforehand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloud.api.base import Services
from cloud.model.asset import Asset
from cloud.model.incident import Deadline, Incident, RescueUnit, Verb, WantedIncidents
from cloud.model.principal import Scope
from cloud.web.view import PLACE
from protocols.ids import scheme_of

SHOWN_MAX = 100
"""Incidents that a list shows; the rest is counted."""
LOOKED_THROUGH_MAX = 1_000
ANSWERS: tuple[Verb, ...] = ("accept", "refuse", "set_out", "arrive", "release")
"""Words of a unit; an operator says them, too, for one that telephones."""
KEYS: Mapping[Verb, str] = {
    "verify": "v",
    "dispatch": "d",
    "accept": "a",
    "refuse": "x",
    "set_out": "s",
    "arrive": "r",
    "release": "f",
    "call_back": "b",
    "close": "c",
    "false_alarm": "w",
    "cancel": "q",
    "merge": "g",
    "take": "t",
    "hand_over": "h",
    "file_cause": "u",
    "note": "n",
    "tell": "p",
}
FIELDS: Mapping[Verb, tuple[str, ...]] = {
    "verify": ("people", "note"),
    "dispatch": ("unit", "note"),
    "accept": ("eta_min", "note"),
    "refuse": ("note",),
    "set_out": ("eta_min", "note"),
    "arrive": ("note",),
    "release": ("people", "injured", "note"),
    "call_back": ("satisfaction", "note"),
    "close": ("note",),
    "false_alarm": ("note",),
    "cancel": ("note",),
    "merge": ("into", "note"),
    "take": (),
    "hand_over": ("to", "note"),
    "file_cause": ("cause", "note"),
    "note": ("note",),
    "tell": ("to", "note"),
}
"""What the form of a verb asks for."""
SOON_MS = 30_000
"""A clock turns yellow so long before its deadline."""
STEPS = (
    ("detected_at", "detected"),
    ("verified_at", "verified"),
    ("dispatched_at", "dispatched"),
    ("accepted_at", "accepted"),
    ("on_the_way_at", "on_the_way"),
    ("arrived_at", "arrived"),
    ("released_at", "released"),
    ("called_back_at", "called_back"),
    ("ended_at", "ended"),
)
"""Moments of an incident in their order, and the word of each."""


@dataclass(frozen=True, slots=True)
class LiftView:
    """A lift as a row names it."""

    asset: Asset
    name: str
    place: str
    rescue_code: str
    latitude: float | None
    longitude: float | None


@dataclass(frozen=True, slots=True)
class IncidentView:
    """An incident as a row shows it."""

    incident: Incident
    lift: LiftView
    unit: str
    """Name of its unit."""
    due: Deadline | None
    tone: str
    """`emergency`, `overdue`, `drill`: which sound asks for an answer; empty: none does."""
    verbs: Sequence[Verb]

    @property
    def running(self) -> bool:
        """Whether somebody still sits in the car, as far as it is known."""
        return self.incident.open and self.incident.released_at is None


@dataclass(frozen=True, slots=True)
class Board:
    """The list of open incidents."""

    rows: Sequence[IncidentView]
    total: int
    asking: int
    """Nobody has taken them up yet."""
    overdue: int
    drills: int

    @property
    def more(self) -> int:
        """How many are not shown."""
        return self.total - len(self.rows)


def next_due(incident: Incident) -> Deadline | None:
    """Return the deadline that runs next; without one, the last that passed and still counts."""
    waiting = [one for one in incident.deadlines if one.settled_at is None]
    ahead = [one for one in waiting if one.fired_at is None]
    if ahead:
        return min(ahead, key=lambda one: one.due_at)
    return max(waiting, key=lambda one: one.due_at, default=None)


def is_overdue(incident: Incident, now_ms: int) -> bool:
    """Tell whether something that should have happened has not; a warning is none."""
    return any(
        one.settled_at is None and one.kind != "warn" and one.due_at <= now_ms
        for one in incident.deadlines
    )


def asks(incident: Incident) -> bool:
    """Tell whether nobody has taken it up yet."""
    return incident.state == "detected"


def tone_of(incident: Incident, now_ms: int) -> str:
    """Return which sound it makes."""
    if not incident.open:
        return ""
    if asks(incident):
        return "drill" if incident.drill else "emergency"
    late = is_overdue(incident, now_ms) and incident.released_at is None
    return "overdue" if late and not incident.drill else ""


def most_urgent(incidents: Sequence[Incident], now_ms: int) -> list[Incident]:
    """Sort: real before drills, what nobody took up first, then late, then the next deadline."""

    def rank(one: Incident) -> tuple[Any, ...]:
        due = next_due(one)
        return (
            one.drill,
            not asks(one),
            one.released_at is not None,
            not is_overdue(one, now_ms),
            due.due_at if due else one.detected_at + 10**12,
            one.id,
        )

    return sorted(incidents, key=rank)


async def board_of(services: Services, scope: Scope, now_ms: int) -> Board:
    """Look through the open incidents and show the most urgent of them."""
    wanted = WantedIncidents(open=True, limit=LOOKED_THROUGH_MAX)
    found = most_urgent(await services.incidents.find(wanted, scope), now_ms)
    shown = await views_of(services, found[:SHOWN_MAX], now_ms)
    return Board(
        rows=shown,
        total=len(found),
        asking=sum(asks(one) for one in found),
        overdue=sum(is_overdue(one, now_ms) for one in found),
        drills=sum(one.drill for one in found),
    )


async def views_of(
    services: Services, incidents: Sequence[Incident], now_ms: int
) -> list[IncidentView]:
    """Show incidents as rows."""
    units = {one.unit: one for one in await services.incidents.all_units()} if incidents else {}
    return [_view(services, one, units, now_ms) for one in incidents]


async def view_of(services: Services, incident: Incident, now_ms: int) -> IncidentView:
    """Show one."""
    (shown,) = await views_of(services, [incident], now_ms)
    return shown


def _view(
    services: Services, incident: Incident, units: Mapping[str, RescueUnit], now_ms: int
) -> IncidentView:
    unit = units.get(incident.unit or "")
    return IncidentView(
        incident=incident,
        lift=lift_of(services, incident.asset),
        unit=unit.name if unit else name_of_unit(services, incident.unit),
        due=next_due(incident),
        tone=tone_of(incident, now_ms),
        verbs=services.incidents.verbs(incident),
    )


def name_of_unit(services: Services, unit: str | None) -> str:
    """Return the name of a unit that nobody registered: an organisation's, else its id."""
    firm = services.organisations.peek(unit) if unit else None
    return firm.name if firm else unit or ""


def lift_of(services: Services, asset_id: str) -> LiftView:
    """Show a lift, registered or not."""
    asset = services.registry.peek(asset_id)
    if asset is None:
        asset = Asset(asset_id=asset_id, kind=scheme_of(asset_id), registered=False)
    return as_lift(asset)


def as_lift(asset: Asset) -> LiftView:
    """Show a lift."""
    of = asset.attributes
    return LiftView(
        asset=asset,
        name=asset.name or asset.asset_id.partition(":")[2],
        place=" ".join(filter(None, (text_of(of, key) for key in PLACE))),
        rescue_code=text_of(of, "rescue_code"),
        latitude=_degrees(of.get("latitude"), 90),
        longitude=_degrees(of.get("longitude"), 180),
    )


def text_of(attributes: Mapping[str, Any], name: str) -> str:
    """Return an attribute as text, empty where it is none."""
    value = attributes.get(name)
    return str(value).strip() if isinstance(value, str | int) else ""


def _degrees(value: Any, most: float) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    fits = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= most
    return float(value) if fits else None
