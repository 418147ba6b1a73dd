"""Terms of inspection and life: who is due, page by page in the order of change.

A whole look goes through all cylinders once a day; in between only those that changed are looked
at. Both are the same: pages after a number of change. What a term rests on is read as narrow
columns, and judged group by group.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache, reduce
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, String, and_, bindparam, case, cast, func, select, tuple_

from cloud.cylinders.watch.cases import Raised, end_cases, raise_again
from cloud.model.cylinder_tables import cylinder
from cloud.model.cylinder_tables import vehicle as vehicle_table
from cloud.model.watch_tables import cylinder_case, cylinder_watch
from protocols.cylinders.base import Cylinder, Vehicle
from protocols.cylinders.due_list import DueList, Group
from protocols.cylinders.watch import TERMS, Entry, term_entries

NAME = "terms"
PAGE = 20_000
WRITE_ROWS = 500
"""So many rows are written at a time: alarms of lifts wait for one such write at most."""
IN_USE, BETWEEN = "in_use", "\x1f"
"""The second stands between the parts of a group; no text of a file holds it."""
_components = msgspec.json.Decoder(tuple[str, ...]).decode

_column, _case = cylinder.c, cylinder_case.c
_taxis = select(vehicle_table.c.id).where(vehicle_table.c.taxi).subquery()
_group = (
    _column.kind,
    _column.gas,
    _column.components,
    _column.standard,
    func.coalesce(cast(_column.design_life_years, String), ""),
    case((_column.life_extended, "y"), else_=""),
    case((_taxis.c.id.is_not(None), "y"), else_=""),
)
# by its subject: neither kind nor `open` may lead SQLite, which has no statistics, to all of a kind
_is_term = and_(func.coalesce(_case.open, "") == "y", (_case.kind + "").in_(TERMS))
_standing = (
    select(func.aggregate_strings(_case.kind + "=" + _case.key, ","))
    .where(_case.subject == _column.asset_id, _is_term)
    .scalar_subquery()
)
_PAGE = (
    select(
        _column.asset_id,
        _column.manufactured_on,
        _column.inspected_on,
        _column.inspection_due_on,
        case((_column.state == IN_USE, reduce(lambda all_, one: all_ + BETWEEN + one, _group))),
        _standing,
        _column.change,
    )
    .select_from(cylinder.outerjoin(_taxis, _taxis.c.id == _column.vehicle))
    .where(_column.change > bindparam("after"))
    .order_by(_column.change)
    .limit(PAGE)
)


Told = tuple[str, str, str]


class Standing(NamedTuple):
    """How far the watch has come."""

    day: str
    position: int


class Page(NamedTuple):
    """What a page of cylinders changes on the lists."""

    raised: Sequence[Raised]
    ended: Sequence[Told]
    """Subject, kind and key of each."""
    position: int


def read_standing(connection: Connection, name: str) -> Standing:
    """Return how far the watch has come by what it follows."""
    row = connection.execute(select(cylinder_watch).where(cylinder_watch.c.name == name)).first()
    return Standing("", 0) if row is None else Standing(row.day, row.position)


def write_standing(connection: Connection, name: str, standing: Standing) -> None:
    """Keep it."""
    connection.execute(cylinder_watch.delete().where(cylinder_watch.c.name == name))
    connection.execute(cylinder_watch.insert().values(name=name, **standing._asdict()))


def read_page(
    connection: Connection, listed: DueList, after: int, on: date, stages: tuple[int, ...]
) -> Page:
    """Judge the cylinders that changed after a number of change, so many at a time."""
    rows = connection.execute(_PAGE, {"after": after}).all()
    raised, ended = list[Raised](), list[Told]()
    for row in rows:
        if row[4] is None and row[5]:
            ended += [_told(row[0], word) for word in row[5].split(",")]
    facts = (row[:6] for row in rows if row[4] is not None)
    for line in listed.lines(facts, stages[0]):
        standing = line.standing or ""
        wanted, entries = _entries(line.due_on, line.life_ends_on, on, stages)
        if standing != wanted:
            stands = standing.split(",") if standing else []
            ended += [_told(line.code, word) for word in stands if word not in entries]
            new = [entry for word, entry in entries.items() if word not in stands]
            raised += [Raised(line.code, entry) for entry in new]
    return Page(raised, ended, rows[-1][6] if rows else after)


def parts(page: Page) -> Iterator[Page]:
    """Return what a page changes in parts that are written one by one."""
    for start in range(0, max(len(page.raised), len(page.ended)), WRITE_ROWS):
        part = slice(start, start + WRITE_ROWS)
        yield page._replace(raised=page.raised[part], ended=page.ended[part])


def write_page(connection: Connection, page: Page, now_ms: int) -> None:
    """Write what a page changes; done twice it changes nothing more."""
    raise_again(connection, page.raised, now_ms)
    key = tuple_(cylinder_case.c.subject, cylinder_case.c.kind, cylinder_case.c.key)
    if page.ended:
        end_cases(connection, key.in_(page.ended), now_ms)


def group_cylinder(group: Group) -> Cylinder:
    """Return a cylinder of a group, without dates."""
    kind, gas, components, standard, life, extended, taxi = group.split(BETWEEN)
    return Cylinder(
        code="",
        kind=kind,
        gas=gas,
        components=_components(components),
        standard=standard,
        design_life_years=int(life) if life else None,
        life_extended=bool(extended),
        vehicle=Vehicle(taxi=bool(taxi)),
    )


@lru_cache(maxsize=50_000)
def _entries(
    due_on: date | None, life_ends_on: date | None, on: date, stages: tuple[int, ...]
) -> tuple[str, Mapping[str, Entry]]:
    """Return entries as they stand, and by how each stands; many cylinders share their days."""
    entries = term_entries(due_on, life_ends_on, on, stages)
    found = {f"{one.kind}={one.key}": one for one in entries}
    return ",".join(found), found


def _told(subject: str, word: str) -> Told:
    kind, _, key = word.partition("=")
    return subject, kind, key
