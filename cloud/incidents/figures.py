"""Figures of rescues as municipal bulletins give them: counts, rates, means, by several words.

A pure fold of the rows that one query brings: some 4,000 a year in a city of 25,000 lifts. Drills
are in none of them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import Connection, select
from sqlalchemy import false as no

from cloud.incidents.book import seen
from cloud.model.incident import ENDED
from cloud.model.incident_tables import incident
from cloud.model.people_tables import organisation
from cloud.model.principal import Scope
from cloud.model.rescue_figures import Figures, FiguresBy, Group, RescueFigures
from cloud.model.rescue_policy import Causes, Rates, RescueRules

NO_ENTRAPMENT = frozenset(("false_alarm", "cancelled", "merged"))


class Rescue(Struct, frozen=True, kw_only=True):
    """One rescue as the figures see it; the names are those of the table."""

    state: str
    source: str
    level: int
    detected_at: int
    responded_at: int | None = None
    arrived_at: int | None = None
    released_at: int | None = None
    released_people: int | None = None
    injured: int | None = None
    unit: str | None = None
    cause: str | None = None
    firm: str = ""
    brand: str = ""
    site_type: str = ""
    district: str = ""
    satisfaction: int | None = None


Key = Callable[[Rescue], str]


def fold(rescues: Sequence[Rescue], rates: Rates) -> Figures:
    """Count and measure some rescues."""
    real = [one for one in rescues if one.state not in NO_ENTRAPMENT]
    response = _seconds((one.detected_at, one.responded_at) for one in real)
    arrival = _seconds((one.detected_at, one.arrived_at) for one in real)
    on_site = _seconds(
        (one.arrived_at, one.released_at) for one in real if one.arrived_at is not None
    )
    told = [one.satisfaction for one in real if one.satisfaction is not None]
    return Figures(
        rescues=len(rescues),
        entrapments=len(real),
        false_alarms=sum(one.state == "false_alarm" for one in rescues),
        open=sum(one.state not in ENDED for one in rescues),
        freed=sum(one.released_people or 0 for one in real),
        injured=sum(one.injured or 0 for one in real),
        responded=len(response),
        response_rate=_rate(response, rates.response_s),
        arrived=len(arrival),
        arrival_rate=_rate(arrival, rates.arrival_s),
        late=sum(one > rates.arrival_s for one in arrival),
        response_mean_s=_mean(response),
        arrival_mean_s=_mean(arrival),
        on_site_mean_s=_mean(on_site),
        satisfaction_mean=_mean(told),
    )


def grouped(
    rescues: Iterable[Rescue], key: Key, rates: Rates, titles: Mapping[str, str]
) -> tuple[Group, ...]:
    """Fold by a word, in its order."""
    parts: dict[str, list[Rescue]] = {}
    for one in rescues:
        parts.setdefault(key(one), []).append(one)
    return tuple(
        Group(key=word, title=titles.get(word, ""), figures=fold(parts[word], rates))
        for word in sorted(parts)
    )


def key_of(by: FiguresBy, causes: Causes, zone: ZoneInfo) -> Key:
    """Return what tells of a rescue under which word it is counted."""

    def local(one: Rescue) -> datetime:
        return datetime.fromtimestamp(one.detected_at / 1_000, zone)

    keys: dict[FiguresBy, Key] = {
        "month": lambda one: local(one).strftime("%Y-%m"),
        "hour": lambda one: local(one).strftime("%H"),
        "cause": lambda one: one.cause or "",
        "class": lambda one: causes.class_of(one.cause),
        "firm": lambda one: one.firm,
        "unit": lambda one: one.unit or "",
        "brand": lambda one: one.brand,
        "site": lambda one: one.site_type,
        "district": lambda one: one.district,
        "level": lambda one: str(one.level),
        "source": lambda one: one.source,
    }
    return keys[by]


def year_begins(at_ms: int, zone: ZoneInfo) -> int:
    """Return when the city's year of a moment, or of the last one before it, began."""
    year = datetime.fromtimestamp((at_ms - 1) / 1_000, zone).year
    return int(datetime(year, 1, 1, tzinfo=zone).timestamp() * 1_000)


def read_figures(
    connection: Connection,
    scope: Scope,
    *,
    from_at: int,
    to_at: int,
    by: FiguresBy,
    rules: RescueRules,
    zone: ZoneInfo,
) -> RescueFigures:
    """Return the figures of the rescues detected from `from_at` until before `to_at`."""
    rates = rules.policies.rates
    found = _rescues(connection, scope, from_at, to_at)
    this_year = _rescues(connection, scope, year_begins(to_at, zone), to_at)
    titles = _titles(connection, by, rules)
    return RescueFigures(
        from_at=from_at,
        to_at=to_at,
        by=by,
        total=fold(found, rates),
        groups=grouped(found, key_of(by, rules.causes, zone), rates, titles),
        year_to_date=fold(this_year, rates),
    )


def _rescues(connection: Connection, scope: Scope, from_at: int, to_at: int) -> list[Rescue]:
    columns = [incident.c[name] for name in Rescue.__struct_fields__]
    query = select(*columns).where(
        incident.c.detected_at >= from_at,
        incident.c.detected_at < to_at,
        incident.c.drill == no(),
        seen(scope),
    )
    names = Rescue.__struct_fields__
    return [Rescue(**dict(zip(names, row, strict=True))) for row in connection.execute(query)]


def _titles(connection: Connection, by: FiguresBy, rules: RescueRules) -> Mapping[str, str]:
    classes = {one.id: one.title_zh for one in rules.causes.class_}
    if by == "cause":
        return classes | {one.id: one.title_zh for one in rules.causes.cause}
    if by == "class":
        return classes
    if by == "level":
        return {str(one.level): one.title_zh for one in rules.levels.level}
    if by in ("firm", "unit"):
        rows = connection.execute(select(organisation.c.id, organisation.c.name))
        standing = {one.unit: one.name for one in rules.levels.unit}
        return standing | {row.id: row.name for row in rows}
    return {}


def _seconds(spans: Iterable[tuple[int | None, int | None]]) -> list[float]:
    """Return the lengths of those that began and ended."""
    return [
        max(0, end - begin) / 1_000 for begin, end in spans if begin is not None and end is not None
    ]


def _rate(found: Sequence[float], limit_s: float) -> float | None:
    if not found:
        return None
    return round(100 * sum(one <= limit_s for one in found) / len(found), 2)


def _mean(found: Sequence[float]) -> float | None:
    return round(sum(found) / len(found), 1) if found else None
