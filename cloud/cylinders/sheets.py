"""Sheets: what a device without rules of its own shows of a cylinder, with the verdicts to come.

The verdict depends on nothing but the file and the day. So it is judged here, by the same rules as
everywhere, for each of the days that the device may be away: it needs to know only which day it is.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby

from msgspec import Struct
from sqlalchemy import Connection

from cloud.cylinders.base import Wanted
from cloud.cylinders.book import Cylinders
from cloud.cylinders.facts import read_all_facts
from cloud.cylinders.find import find_cylinders
from cloud.cylinders.permits import permits_of, station_permits
from cloud.model.cylinder import CylinderRecord
from cloud.model.cylinder_records import Permit
from cloud.model.principal import Scope
from protocols.cylinders.base import Cylinder, Decision, Seen, StationPermits, Verdict
from protocols.cylinders.book import RuleBook
from protocols.cylinders.verdict import fill_verdict

DAYS = 8
"""For so many days, today included, a sheet has its verdicts."""
LIMIT_MAX = 500


class Told(Struct, frozen=True):
    """A reason, by its word in the rules, and what it rests on."""

    reason: str
    found: str


class Stretch(Struct, frozen=True, kw_only=True):
    """What holds from a day on, until the next stretch."""

    since: date
    decision: Decision
    reasons: tuple[Told, ...]


class Sheet(Struct, frozen=True, kw_only=True):
    """One cylinder."""

    asset: str
    codes: tuple[str, ...]
    """Further ones, `scheme:value`, tags among them."""
    kind: str
    gas: str
    filler: str
    state: str
    manufactured_on: str | None
    inspected_on: str | None
    due_on: date | None
    life_ends_on: date | None
    last_filled_on: date | None
    limit_kg: float | None
    verdicts: tuple[Stretch, ...]
    rules_version: str


class Asking(Struct, frozen=True, kw_only=True):
    """Who asks, and when."""

    filler: str = ""
    """Whose people hold the device; empty for an office: each is judged for its own filler."""
    permits: StationPermits | None = None
    """Of the filler."""
    today: date


Facts = Mapping[str, Cylinder]


class Sheets:
    """Makes them."""

    def __init__(self, cylinders: Cylinders, rules: RuleBook) -> None:
        self._cylinders, self._rules = cylinders, rules

    async def find(
        self, scope: Scope, filler: str, *, text: str | None, after: str, limit: int
    ) -> list[Sheet]:
        """Return sheets of cylinders in scope, by their asset ids.

        Args:
            scope: of the caller.
            filler: whose people hold the device; empty for an office: each for its own filler.
            text: a code, a tag or a serial number, whole; None: all.
            after: asset id of the last one of the page before.
            limit: at most so many.

        """
        today = self._cylinders.today()
        wanted = Wanted(text=text, after=after, limit=min(limit, LIMIT_MAX))

        def read(connection: Connection) -> tuple[list[CylinderRecord], Facts, list[Permit]]:
            records = find_cylinders(connection, scope, wanted)
            facts = read_all_facts(connection, [one.asset_id for one in records])
            return records, facts, permits_of(connection, filler, "filling") if filler else []

        records, facts, permits = await self._cylinders.database.read(read)
        held = station_permits(permits, self._rules.gas, today) if filler else None
        asking = Asking(filler=filler, permits=held, today=today)
        return [
            sheet_of(one, facts[one.asset_id], self._rules, asking)
            for one in records
            if one.asset_id in facts
        ]


def sheet_of(record: CylinderRecord, cylinder: Cylinder, rules: RuleBook, asking: Asking) -> Sheet:
    """Return the sheet of one cylinder."""
    days = [asking.today + timedelta(days=number) for number in range(DAYS)]
    verdicts = [_judge(cylinder, rules, asking, day) for day in days]
    first = verdicts[0]
    return Sheet(
        asset=record.asset_id,
        codes=tuple(str(code) for code in record.file.codes),
        kind=cylinder.kind,
        gas=cylinder.gas,
        filler=cylinder.filler,
        state=record.state,
        manufactured_on=record.file.manufactured_on,
        inspected_on=record.file.inspected_on,
        due_on=first.due_on,
        life_ends_on=first.life_ends_on,
        last_filled_on=cylinder.last_filled_on,
        limit_kg=first.limit_kg,
        verdicts=_stretches(days, verdicts),
        rules_version=first.rules_version,
    )


def _judge(cylinder: Cylinder, rules: RuleBook, asking: Asking, day: date) -> Verdict:
    filler = asking.filler or cylinder.filler or "-"
    seen = Seen(filler=filler, gas=cylinder.gas, on=day, permits=asking.permits)
    return fill_verdict(cylinder, seen, rules)


def _stretches(days: Sequence[date], verdicts: Sequence[Verdict]) -> tuple[Stretch, ...]:
    """Put days with the same words together."""
    told = [
        (one.decision, tuple(Told(each.reason, each.found) for each in one.reasons))
        for one in verdicts
    ]
    found = []
    for (decision, reasons), group in groupby(zip(told, days, strict=True), key=lambda one: one[0]):
        found.append(Stretch(since=next(group)[1], decision=decision, reasons=reasons))
    return tuple(found)
