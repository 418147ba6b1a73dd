"""What the templates show, worked out beforehand: they only lay it out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloud.api.base import Services
from cloud.model.alarm import SEVERITIES, Alarm
from cloud.model.asset import Asset, LatestValue
from cloud.web.format import value_text
from cloud.web.texts import Texts
from protocols.catalog.points import MessageCode, Point, load_codes, load_points
from protocols.ids import scheme_of
from protocols.readings import Quality, Value

PLACE = ("district", "address", "building")
ASKING = ("unacknowledged", "return_to_normal_unacknowledged", "latched_unacknowledged")
OPEN_STATES = (*ASKING, "acknowledged", "latched_acknowledged")
"""Before the operator; those that are held back have a page of their own."""
HELD = ("shelved", "suppressed_by_design", "out_of_service")
PLOTTED_FIRST = (
    "car_position",
    "speed",
    "passenger_status",
    "door_status",
    "door_zone",
    "safety_circuit",
)
PLOTTED_LINES_MAX = 2
"""Numbers in one plot: it has two axes."""
PLOTTED_STRIPS_MAX = 6


@dataclass(frozen=True, slots=True)
class PlottedPoint:
    """A point that a plot shows: a line, or a strip for a yes or no."""

    name: str
    title: str
    type: str
    unit: str


@dataclass(frozen=True, slots=True)
class PointView:
    """One point with its newest value."""

    name: str
    title: str
    text: str
    quality: Quality
    quality_text: str
    observed_at: int


@dataclass(frozen=True, slots=True)
class AssetView:
    """An asset with its newest values."""

    asset: Asset
    name: str
    place: str
    phone: str
    phone_link: str
    rescue_code: str
    floor: str | None
    points: list[PointView]
    plotted: list[PlottedPoint]


@dataclass(frozen=True, slots=True)
class AlarmView:
    """An alarm with its asset."""

    alarm: Alarm
    title: str
    evidence: str
    asks: bool
    """Somebody must still acknowledge it."""
    active: bool
    """The cause still holds."""
    ended_at: int | None
    asset: AssetView

    def annotation(self, name: str, language: str) -> str:
        """Return an annotation of the rule in this language, else in English."""
        return annotation(self.alarm, name, language)


def annotation(alarm: Alarm, name: str, language: str) -> str:
    """Return an annotation in this language, else in English, else empty."""
    suffix = "_zh" if language == "zh" else ""
    return alarm.annotations.get(name + suffix) or alarm.annotations.get(name, "")


def worst_first(alarms: Sequence[Alarm]) -> list[Alarm]:
    """Sort by severity, then what nobody has acknowledged, then what lasts longest."""
    return sorted(
        alarms,
        key=lambda alarm: (
            SEVERITIES.index(alarm.severity),
            alarm.state not in ASKING,
            alarm.raised_at,
            alarm.id,
        ),
    )


def points_of(kind: str) -> tuple[dict[str, Point], dict[str, MessageCode]]:
    """Return the catalog of a kind; empty for a kind without one."""
    try:
        return load_points(kind), load_codes(kind)
    except KeyError:
        return {}, {}


async def asset_view(services: Services, asset_id: str, t: Texts) -> AssetView:
    """Show an asset, known or not."""
    asset = await services.registry.get(asset_id) or Asset(
        asset_id=asset_id, kind=scheme_of(asset_id), registered=False
    )
    latest = services.latest(asset_id)
    catalog, codes = points_of(asset.kind)
    position = latest.get("car_position")
    phone = _text(asset.attributes, "maintenance_phone")
    return AssetView(
        asset=asset,
        name=asset.name or asset_id.partition(":")[2],
        place=" ".join(filter(None, (_text(asset.attributes, key) for key in PLACE))),
        phone=phone,
        phone_link="".join(char for char in phone if char in "+0123456789"),
        rescue_code=_text(asset.attributes, "rescue_code"),
        floor=None if position is None else value_text(position.value, None, codes, t),
        points=_points(latest, catalog, codes, t),
        plotted=_plotted(latest, catalog, t),
    )


async def alarm_view(services: Services, alarm: Alarm, t: Texts) -> AlarmView:
    """Show an alarm."""
    return AlarmView(
        alarm=alarm,
        title=annotation(alarm, "summary", t.language) or alarm.alert,
        evidence=t.find(f"evidence.{alarm.evidence}", alarm.evidence or ""),
        asks=alarm.state in ASKING,
        active=(active := _is_active(alarm)),
        ended_at=None if active else alarm.returned_at,
        asset=await asset_view(services, alarm.asset, t),
    )


def _is_active(alarm: Alarm) -> bool:
    """Tell whether the cause still holds."""
    if alarm.state in HELD:
        return alarm.active
    return alarm.state in ("unacknowledged", "acknowledged")


@dataclass(frozen=True, slots=True)
class ReasonView:
    """One proof that held when an alarm was raised."""

    title: str
    since_at: int
    for_s: int
    counts: bool
    expr: str


def reasons_then(alarm: Alarm, t: Texts) -> list[ReasonView]:
    """Return the proofs that held when an alarm was raised or upgraded, the strongest first."""
    return [
        ReasonView(
            title=t.find(f"evidence.{one.evidence}", one.evidence or t("alarm.reason")),
            since_at=one.since_at,
            for_s=one.for_ms // 1000,
            counts=one.counts,
            expr=one.expr,
        )
        for one in reversed(alarm.reasons)
    ]


def time_to_respond_ms(alarm: Alarm) -> int:
    """Return how long an operator has, 0 when its rule does not say."""
    text = alarm.annotations.get("time_to_respond_s", "")
    return int(text) * 1000 if text.isascii() and text.isdigit() else 0


def values_then(alarm: Alarm, t: Texts) -> list[tuple[str, str]]:
    """Return title and text of the values with which an alarm was raised."""
    catalog, codes = points_of(scheme_of(alarm.asset))
    return [
        (
            _title(name, catalog, t),
            value_text(_value(alarm.values[name]), catalog.get(name), codes, t),
        )
        for name in alarm.values
    ]


def _points(
    latest: Mapping[str, LatestValue],
    catalog: Mapping[str, Point],
    codes: dict[str, MessageCode],
    t: Texts,
) -> list[PointView]:
    order = {name: index for index, name in enumerate(catalog)}
    return [
        PointView(
            name=name,
            title=_title(name, catalog, t),
            text=value_text(latest[name].value, catalog.get(name), codes, t),
            quality=latest[name].quality,
            quality_text=t(f"quality.{latest[name].quality}"),
            observed_at=latest[name].observed_at,
        )
        for name in sorted(latest, key=lambda name: (order.get(name, len(order)), name))
    ]


def _plotted(
    latest: Mapping[str, LatestValue], catalog: Mapping[str, Point], t: Texts
) -> list[PlottedPoint]:
    names = [name for name in catalog if name in latest]
    names.sort(key=lambda name: (*PLOTTED_FIRST, name).index(name))
    lines = [name for name in names if catalog[name].type in ("floor", "float")]
    strips = [name for name in names if catalog[name].type == "bool"]
    return [
        PlottedPoint(
            name=name,
            title=_title(name, catalog, t),
            type=catalog[name].type,
            unit=catalog[name].unit or "",
        )
        for name in lines[:PLOTTED_LINES_MAX] + strips[:PLOTTED_STRIPS_MAX]
    ]


def _title(name: str, catalog: Mapping[str, Point], t: Texts) -> str:
    point = catalog.get(name)
    if point is None:
        return name
    return point.title_zh if t.language == "zh" else point.title


def _text(attributes: Mapping[str, Any], name: str) -> str:
    value = attributes.get(name)
    return str(value).strip() if isinstance(value, str | int) else ""


def _value(value: Any) -> Value:
    if isinstance(value, list):
        return [str(part) for part in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)
