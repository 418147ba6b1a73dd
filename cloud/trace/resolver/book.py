"""The resolver over its tables."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, delete, func, select, true

from cloud.model.database import Database, Work, take_turn
from cloud.model.link_tables import trace_link, trace_prefix
from cloud.model.principal import Scope
from cloud.model.rows import insert_rows, replace_rows
from cloud.trace.resolver.base import AnchorLinks, Answer, Asked, Level, Link, Prefix
from cloud.trace.resolver.decide import decide
from protocols.clock import Clock
from protocols.errors import RefuseInput

ANCHORS_MAX = 100_000
"""On which one organisation has links."""
_PREFIX_DIGITS = range(4, 13)


class LinkBook:
    """See `cloud.trace.resolver.base.Resolver`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def levels(self, paths: Sequence[str]) -> list[Level]:
        """See `Resolver`."""
        query = _ordered().where(trace_link.c.anchor.in_(paths))
        found = {one.anchor: one.links for one in await self._database.read(_reading(query))}
        return [Level(path, found.get(path, ())) for path in paths]

    def decide(self, levels: Sequence[Level], asked: Asked, otherwise: Link) -> Answer:
        """See `Resolver`."""
        return decide(levels, asked, otherwise)

    async def put(
        self,
        anchor: str,
        links: Sequence[Link],
        *,
        organisation: str,
        also: Sequence[Work] = (),
    ) -> AnchorLinks:
        """See `Resolver`."""
        put = AnchorLinks(anchor, organisation, self._clock.wall_ms(), links)
        await self._database.write(lambda connection: _put(connection, put), *also)
        return put

    async def find(self, scope: Scope, *, after: str = "", limit: int) -> list[AnchorLinks]:
        """See `Resolver`."""
        column = trace_link.c
        own = true() if scope.everything else column.organisation.in_(sorted(scope.organisations))
        anchors = select(column.anchor).where(own, column.anchor > after).distinct()
        page = anchors.order_by(column.anchor).limit(limit).subquery()
        query = _ordered().where(column.anchor.in_(select(page.c.anchor)))
        return await self._database.read(_reading(query))

    async def holder(self, digits: str) -> Prefix | None:
        """See `Resolver`."""
        possible = [digits[:count] for count in _PREFIX_DIGITS if count <= len(digits)]
        query = select(trace_prefix).where(trace_prefix.c.prefix.in_(possible))
        found = await self._database.read(lambda c: [_prefix(row) for row in c.execute(query)])
        return max(found, key=lambda one: len(one.prefix), default=None)

    async def prefixes(self, *, after: str = "", limit: int) -> list[Prefix]:
        """See `Resolver`."""
        column = trace_prefix.c.prefix
        query = select(trace_prefix).where(column > after).order_by(column).limit(limit)
        return await self._database.read(lambda c: [_prefix(row) for row in c.execute(query)])

    async def put_prefix(
        self, prefix: str, organisation: str, *, also: Sequence[Work] = ()
    ) -> Prefix:
        """See `Resolver`."""
        put = Prefix(prefix, organisation, self._clock.wall_ms())
        row = msgspec.structs.asdict(put)
        await self._database.write(lambda c: replace_rows(c, trace_prefix, [row]), *also)
        return put

    async def drop_prefix(self, prefix: str, *, also: Sequence[Work] = ()) -> None:
        """See `Resolver`."""

        def drop(connection: Connection) -> None:
            gone = delete(trace_prefix).where(trace_prefix.c.prefix == prefix)
            if connection.execute(gone).rowcount == 0:
                raise RefuseInput("not_found", f"prefix {prefix}")

        await self._database.write(drop, *also)


def _put(connection: Connection, put: AnchorLinks) -> None:
    take_turn(connection, f"links of {put.organisation}")
    connection.execute(delete(trace_link).where(trace_link.c.anchor == put.anchor))
    if not put.links:
        return
    of_own = trace_link.c.organisation == put.organisation
    count = select(func.count(trace_link.c.anchor.distinct())).where(of_own)
    if connection.execute(count).scalar_one() >= ANCHORS_MAX:
        raise RefuseInput("quota_reached", f"links on {ANCHORS_MAX} things at most")
    insert_rows(connection, trace_link, [_row(put, at) for at in range(len(put.links))])


def _row(put: AnchorLinks, position: int) -> dict[str, Any]:
    link = put.links[position]
    return {
        **msgspec.structs.asdict(link),
        "anchor": put.anchor,
        "position": position,
        "organisation": put.organisation,
        "languages": msgspec.json.encode(link.languages).decode(),
        "context": msgspec.json.encode(link.context).decode(),
        "updated_at": put.updated_at,
    }


def _ordered() -> Select[Any]:
    return select(trace_link).order_by(trace_link.c.anchor, trace_link.c.position)


def _reading(query: Select[Any]) -> Any:
    def read(connection: Connection) -> list[AnchorLinks]:
        found: dict[str, tuple[Row[Any], list[Link]]] = {}
        for row in connection.execute(query):
            found.setdefault(row.anchor, (row, []))[1].append(_link(row))
        return [
            AnchorLinks(anchor, row.organisation, row.updated_at, links)
            for anchor, (row, links) in found.items()
        ]

    return read


def _link(row: Row[Any]) -> Link:
    return Link(
        type=row.type,
        href=row.href,
        title=row.title,
        languages=msgspec.json.decode(row.languages, type=tuple[str, ...]),
        media_type=row.media_type,
        context=msgspec.json.decode(row.context, type=tuple[str, ...]),
        role=row.role,
    )


def _prefix(row: Row[Any]) -> Prefix:
    return Prefix(row.prefix, row.organisation, row.updated_at)
