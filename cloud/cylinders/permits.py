"""Permits of filling units, and approvals of inspection bodies."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from cloud.cylinders.rights import FILLING_STATION, INSPECTION_BODY
from cloud.model.cylinder import PermitKind, json_text
from cloud.model.cylinder_records import Permit, PermitBody
from cloud.model.cylinder_tables import permit as table
from cloud.model.database import Database, Work
from cloud.model.people_tables import organisation as known
from cloud.model.principal import Granted, Scope
from cloud.model.rows import replace_rows
from cloud.model.visible import sees_organisation
from protocols.clock import Clock
from protocols.cylinders.base import Permitted, StationPermits
from protocols.errors import RefuseInput

HELD_BY: Mapping[PermitKind, str] = {"filling": FILLING_STATION, "inspection": INSPECTION_BODY}
PERMITS_MAX = 1_000
STRETCHES_MAX = 4
"""Of one gas, that a station is told; the soonest."""
DAY = timedelta(days=1)


class Permits:
    """All permits."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def find(
        self, *, organisation: str | None = None, kind: PermitKind | None = None
    ) -> list[Permit]:
        """Return permits, at most 1,000; they are no secret."""
        return await self._database.read(lambda c: permits_of(c, organisation, kind))

    async def put(
        self,
        granted: Granted,
        organisation: str,
        kind: PermitKind,
        number: str,
        body: PermitBody,
        *,
        also: Sequence[Work] = (),
    ) -> Permit:
        """Write a permit of an organisation within the scope.

        Raises:
            RefuseInput: `not_found`, `bad_request`.

        """
        _check(body)
        held_by = HELD_BY[kind]
        if not await self._database.read(lambda c: _sees(c, granted.scope, organisation, held_by)):
            raise RefuseInput("not_found", f"no {held_by} {organisation[:32]!r}")
        now_ms = self._clock.wall_ms()
        row = {
            "organisation": organisation,
            "kind": kind,
            "number": number,
            **msgspec.structs.asdict(body),
            "items": json_text(sorted(set(body.items))),
            "by": granted.principal.id,
            "updated_at": now_ms,
        }
        await self._database.write(lambda c: replace_rows(c, table, [row]), *also)
        return _permit(row)


def permits_of(
    connection: Connection, organisation: str | None, kind: PermitKind | None
) -> list[Permit]:
    """Return permits, by organisation, kind and number."""
    query = select(table).order_by(table.c.organisation, table.c.kind, table.c.number)
    if organisation is not None:
        query = query.where(table.c.organisation == organisation)
    if kind is not None:
        query = query.where(table.c.kind == kind)
    rows = connection.execute(query.limit(PERMITS_MAX)).mappings()
    return [_permit(dict(row)) for row in rows]


def station_permits(
    permits: Sequence[Permit], gases: Collection[str], today: date
) -> StationPermits:
    """Put together what a filling unit may fill, as its stations judge by it.

    Args:
        permits: of the unit, to fill.
        gases: that anything is known of; others come out of no gun.
        today: stretches that ended before yesterday are left out, but for a gas's last one.

    """
    held = [one for one in permits if one.state == "valid"]
    stretches = [
        Permitted(gas, *days)
        for gas in sorted({item for one in held for item in one.items} & set(gases))
        for days in _stretches_of(held, gas, today)
    ]
    return StationPermits(recorded=bool(permits), held=tuple(stretches))


def _stretches_of(held: Sequence[Permit], gas: str, today: date) -> list[tuple[date, date]]:
    found = list(_joined(sorted(_days_of(one) for one in held if gas in one.items)))
    left = [one for one in found if one[1] >= today - DAY]
    return left[:STRETCHES_MAX] or found[-1:]


def _days_of(one: Permit) -> tuple[date, date]:
    return date.fromisoformat(one.valid_from), date.fromisoformat(one.valid_until)


def _joined(spans: Sequence[tuple[date, date]]) -> Iterator[tuple[date, date]]:
    """Yield spans in order, those that meet or overlap as one."""
    since, until = spans[0]
    for begins, ends in spans[1:]:
        if (begins - until).days > 1:
            yield since, until
            since, until = begins, ends
        else:
            until = max(until, ends)
    yield since, until


def _sees(connection: Connection, scope: Scope, organisation: str, kind: str) -> bool:
    query = select(known.c.id).where(known.c.id == organisation, known.c.kind == kind)
    return connection.execute(query.where(sees_organisation(scope, known.c.id))).first() is not None


def _check(body: PermitBody) -> None:
    for name in ("valid_from", "valid_until"):
        text = getattr(body, name)
        try:
            date.fromisoformat(text)
        except ValueError:
            raise RefuseInput("bad_request", f"{name}: expected a day, found {text}") from None
    if body.valid_until < body.valid_from:
        expected = f"{body.valid_from} or later"
        raise RefuseInput(
            "bad_request", f"valid_until: expected {expected}, found {body.valid_until}"
        )
    if body.state != "valid" and not body.reason.strip():
        raise RefuseInput("bad_request", f"reason: expected why it is {body.state}, found none")


def _permit(row: Mapping[str, Any]) -> Permit:
    fields = {name: row[name] for name in Permit.__struct_fields__}
    return Permit(**{**fields, "items": msgspec.json.decode(row["items"], type=tuple[str, ...])})
