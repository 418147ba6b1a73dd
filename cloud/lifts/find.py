"""Finding lifts and entries of their records that a scope admits."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, or_, select

from cloud.lifts.rows import lift_of, parties_of
from cloud.model.lift import Lift, LiftRecord, WantedLifts
from cloud.model.lift_tables import lift, lift_record
from cloud.model.principal import Scope
from cloud.model.tables import asset, asset_party
from cloud.model.visible import sees_asset
from protocols.lifts.base import SCHEME
from protocols.lifts.chain import Entry, read_entry, standing
from protocols.lifts.records import Kinds

FOUND_BY_CODE_MAX = 20
_lift = lift.c


def find_lifts(connection: Connection, scope: Scope, wanted: WantedLifts) -> list[Lift]:
    """Return lifts by what is due of them, those after `wanted.after`."""
    joined = lift.outerjoin(asset, asset.c.asset_id == _lift.asset_id)
    query: Select[Any] = select(lift).select_from(joined).where(sees_asset(scope, _lift.asset_id))
    if wanted.after is not None:
        day, last = wanted.after
        later = and_(_lift.next_due_on == day, _lift.asset_id > last)
        query = query.where(_lift.next_due_on >= day, or_(_lift.next_due_on > day, later))
    if wanted.district is not None:
        query = query.where(asset.c.district == wanted.district)
    if wanted.state is not None:
        query = query.where(_lift.state == wanted.state)
    if wanted.overdue is not None:
        query = query.where(_lift.overdue > 0 if wanted.overdue else _lift.overdue == 0)
    if wanted.due_before is not None:
        query = query.where(_lift.next_due_on < wanted.due_before)
    if wanted.maintainer is not None:
        query = query.where(_maintained_by(wanted.maintainer))
    if wanted.text:
        query = query.where(or_(_has_code(wanted.text), _is_called(wanted.text)))
    query = query.order_by(_lift.next_due_on, _lift.asset_id).limit(wanted.limit)
    return _read(connection, query)


def lifts_by_code(connection: Connection, code: str, scope: Scope) -> list[Lift]:
    """Return the lifts that a code tells of; scrapped ones only where no other is."""
    query = select(lift).where(_has_code(code), sees_asset(scope, _lift.asset_id))
    found = _read(connection, query.order_by(_lift.asset_id).limit(FOUND_BY_CODE_MAX))
    live = [one for one in found if one.state != "scrapped"]
    return live or found


def find_records(
    connection: Connection,
    asset_id: str,
    kinds: Kinds,
    *,
    kind: str | None,
    before: int | None,
    limit: int,
) -> list[LiftRecord]:
    """Return entries, the newest first."""
    column = lift_record.c
    query = select(column.body, column.hash).where(column.asset_id == asset_id)
    if kind is not None:
        query = query.where(column.kind == kind)
    if before is not None:
        query = query.where(column.seq < before)
    rows = connection.execute(query.order_by(column.seq.desc()).limit(limit)).all()
    found = [(entry, row.hash) for row in rows if (entry := read_entry(row.body)) is not None]
    numbers = [entry.seq for entry, _ in found]
    told = select(column.body).where(column.asset_id == asset_id, column.about.in_(numbers))
    later = [one for text in connection.execute(told).scalars() if (one := read_entry(text))]
    return [_told(entry, hash_, later, kinds) for entry, hash_ in found]


def _told(entry: Entry, hash_: str, later: Sequence[Entry], kinds: Kinds) -> LiftRecord:
    about = sorted((one for one in later if one.about == entry.seq), key=lambda one: one.seq)
    confirming = {name for name, kind in kinds.items() if kind.about == "confirms"}
    return LiftRecord(
        body=entry,
        hash=hash_,
        stands=entry.seq in standing([entry, *about]),
        confirmed=any(one.kind in confirming for one in about),
    )


def _read(connection: Connection, query: Select[Any]) -> list[Lift]:
    rows = connection.execute(query).mappings().all()
    parties = parties_of(connection, [row["asset_id"] for row in rows])
    return [lift_of(row, parties[row["asset_id"]]) for row in rows]


def _has_code(text: str) -> ColumnElement[bool]:
    code = text.removeprefix(f"{SCHEME}:")
    columns = (_lift.registration_code, _lift.equipment_code, _lift.rescue_code)
    return or_(_lift.asset_id == f"{SCHEME}:{code}", *(column == code for column in columns))


def _is_called(text: str) -> ColumnElement[bool]:
    named = asset.c.name.contains(text, autoescape=True)
    return or_(named, asset.c.attributes.contains(text, autoescape=True))


def _maintained_by(organisation: str) -> ColumnElement[bool]:
    party = asset_party.alias().c
    query = select(party.asset_id).where(
        party.asset_id == _lift.asset_id,
        party.part == "maintainer",
        party.organisation == organisation,
    )
    return exists(query)
