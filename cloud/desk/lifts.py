"""The search for a lift by what a caller can read or tell: the code in the car, the address.

Codes are kept in memory by the registry. Words are looked for in its JSON texts: that takes some
milliseconds for 20,000 lifts, and a desk asks a few times a minute.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, or_, select

from cloud.model.asset import Asset
from cloud.model.database import Database
from cloud.model.principal import Scope
from cloud.model.tables import asset, asset_party
from cloud.model.visible import sees_asset

KIND = "elevator"
FOUND_MAX = 20
LOOKED_AT_MAX = 500
"""Lifts in whose texts all words stand, be it in the name of an attribute."""
WORDS_MAX = 6
WORD_CHARS_MAX = 64
ESCAPE = "~"
_asset = asset.c
TEXTS = (_asset.name, _asset.attributes, _asset.asset_id)


class LiftFinder:
    """`Lifts` in the state database."""

    def __init__(
        self,
        database: Database,
        with_code: Callable[[str], Sequence[str]],
        peek: Callable[[str], Asset | None],
    ) -> None:
        """Build it.

        Args:
            database: the state.
            with_code: returns the ids of the registered assets with a rescue code.
            peek: returns a registered asset.

        """
        self._database, self._with_code, self._peek = database, with_code, peek

    async def by_code(self, code: str, scope: Scope) -> list[Asset]:
        """Return the lifts with this rescue code."""
        found = [self._peek(asset_id) for asset_id in self._with_code(code)[:FOUND_MAX]]
        return [one for one in found if one is not None and scope.admits(one)]

    async def search(self, text: str, scope: Scope) -> list[Asset]:
        """Return lifts by words."""
        words = [_plain(word) for word in text.split()[:WORDS_MAX]]
        wanted = [or_(*(_holds(column, word) for column in TEXTS)) for word in words if word]
        found = await self._find(wanted, scope) if wanted else []
        return [one for one in found if all(_tells(one, word) for word in words)][:FOUND_MAX]

    async def _find(self, wanted: Sequence[ColumnElement[bool]], scope: Scope) -> list[Asset]:
        query = select(asset).where(
            _asset.kind == KIND, *wanted, sees_asset(scope, _asset.asset_id)
        )
        query = query.order_by(_asset.name, _asset.asset_id).limit(LOOKED_AT_MAX)

        def work(connection: Connection) -> list[Asset]:
            rows = connection.execute(query).mappings().all()
            ids = [row["asset_id"] for row in rows]
            parties: dict[str, dict[str, str]] = {}
            of = asset_party.c
            for one in connection.execute(select(asset_party).where(of.asset_id.in_(ids))):
                parties.setdefault(one.asset_id, {})[one.part] = one.organisation
            return [_read(row, parties.get(row["asset_id"], {})) for row in rows]

        return await self._database.read(work)


def _holds(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Hold where a column has a text in it, whose signs mean nothing but themselves."""
    return column.icontains(text, autoescape=True, escape=ESCAPE)


def _tells(one: Asset, word: str) -> bool:
    """Tell whether a word stands in the name, the id or an attribute's value."""
    told = (one.name, one.asset_id, *map(str, one.attributes.values()))
    return any(word.lower() in text.lower() for text in told)


def _plain(word: str) -> str:
    """Leave out what JSON writes in another way."""
    return word[:WORD_CHARS_MAX].replace('"', "").replace("\\", "")


def _read(row: Any, parties: dict[str, str]) -> Asset:
    return Asset(
        asset_id=row["asset_id"],
        kind=row["kind"],
        name=row["name"],
        attributes=msgspec.json.decode(row["attributes"]),
        category=row["category"],
        parties=parties,
        updated_at=row["updated_at"],
    )
