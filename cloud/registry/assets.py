"""The registry of assets: who may report what, and what a person should look at.

All of it is in memory, because ingest asks for every reading; what changes between two calls of
`flush` is written then. Losing that second costs nothing: the same readings teach it again.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from sys import intern
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, delete, or_, select

from cloud.model import tables
from cloud.model.asset import Asset, Finding
from cloud.model.database import Database, Work
from cloud.model.permissions import category_of
from cloud.model.principal import Scope
from cloud.model.rows import insert_rows, replace_rows
from cloud.registry.gateway_sets import GatewaySets
from protocols.clock import Clock
from protocols.ids import scheme_of
from protocols.limits import NEW_ASSETS_PER_GATEWAY_DAY_MAX

DAY_MS = 24 * 3600 * 1000
FINDINGS_MAX = 100_000
"""Kept findings, one for each asset and reason; further new ones are not kept."""
DETAIL_CHARS_MAX = 500
ASSETS_A_QUERY = 500
SHARED_MAX = 10_000
"""Lists and dictionaries that equal assets share: a million cylinders differ by their ids alone.
Nobody changes those of an asset."""
SKEW_MS = 60_000
"""So far the clocks of several processes may be apart."""

_ANYONE: frozenset[str] = frozenset()


class AssetRegistry:
    """Assets registered or only heard of. Not thread-safe: it lives on the event loop."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._assets: dict[str, Asset] = {}
        self._reporters: dict[str, frozenset[str]] = {}  # every known asset; empty: anyone
        self._of_gateway: dict[str, set[str]] = {}  # registered assets that name it
        self._gateways = GatewaySets()
        self._codes: dict[str, set[str]] = {}  # by the plate in the car: registered assets
        self._findings: dict[str, dict[str, Finding]] = {}
        self._findings_count = 0
        self._new_today: dict[tuple[str, int], int] = {}  # (gateway, day)
        self._heard_dirty: dict[str, tuple[str, int]] = {}
        self._findings_dirty: dict[tuple[str, str], Finding] = {}
        self._read_at = 0

    async def load(self) -> None:
        """Read what was written earlier; call once, before anything else."""
        self._read_at = self._clock.wall_ms()
        await self._database.read(self._load)

    async def refresh(self) -> None:
        """Read what other processes wrote since the last call."""
        since_ms, self._read_at = self._read_at - SKEW_MS, self._clock.wall_ms()
        await self._database.read(lambda connection: self._load(connection, since_ms))

    def _load(self, connection: Connection, since_ms: int = 0) -> None:
        heard, asset, finding = tables.heard_asset, tables.asset, tables.finding
        today = self._clock.wall_ms() // DAY_MS
        for row in connection.execute(select(heard).where(heard.c.first_at >= since_ms)):
            if row.asset_id in self._reporters:
                continue
            self._reporters[row.asset_id] = _ANYONE
            day = row.first_at // DAY_MS
            if day >= today:
                key = (row.gateway, day)
                self._new_today[key] = self._new_today.get(key, 0) + 1
        parties = _parties(connection, since_ms)
        for row in connection.execute(select(asset).where(asset.c.updated_at >= since_ms)):
            self._remember(_asset(row, parties.get(row.asset_id, {})))
        for row in connection.execute(select(finding).where(_since(finding, since_ms))):
            fields = dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public way to a row's names
            found = Finding(**{name: fields[name] for name in Finding.__struct_fields__})
            if (row.asset_id, found.reason) in self._findings_dirty:
                continue
            of_asset = self._findings.setdefault(row.asset_id, {})
            self._findings_count += found.reason not in of_asset
            of_asset[found.reason] = found

    def admits(self, asset_id: str, gateway: str, at: int) -> str | None:
        """Say whether a reading of `asset_id` by `gateway`, received at `at` (ms), is taken.

        None: take it. `foreign_gateway`: the asset is registered to others; a finding tells.
        `too_many_new_assets`: the gateway named 1,000 new ones this UTC day; a finding on
        `gateway:{id}` tells.
        """
        reporters = self._reporters.get(asset_id)
        if reporters is None:
            return self._first_heard(asset_id, gateway, at)
        if not reporters or gateway in reporters:
            return None
        self.add_finding(asset_id, "foreign_gateway", f"reported by {gateway}", at)
        return "foreign_gateway"

    def _first_heard(self, asset_id: str, gateway: str, at: int) -> str | None:
        day = at // DAY_MS
        count = self._new_today.get((gateway, day), 0)
        if count >= NEW_ASSETS_PER_GATEWAY_DAY_MAX:
            self.add_finding(
                f"gateway:{gateway}", "too_many_new_assets", f"among them {asset_id}", at
            )
            return "too_many_new_assets"
        if count == 0:  # the first of a day: forget the days before
            self._new_today = {key: n for key, n in self._new_today.items() if key[1] >= day}
        self._new_today[gateway, day] = count + 1
        self._reporters[asset_id] = _ANYONE
        self._heard_dirty[asset_id] = (gateway, at)
        return None

    def add_finding(self, asset_id: str, reason: str, detail: str, at: int) -> None:
        """Count a finding on an asset; the newest detail is kept."""
        of_asset = self._findings.setdefault(asset_id, {})
        earlier = of_asset.get(reason)
        if earlier is None:
            if self._findings_count >= FINDINGS_MAX:
                return
            self._findings_count += 1
        found = Finding(
            reason=reason[:32],
            detail=detail[:DETAIL_CHARS_MAX],
            count=1 + (earlier.count if earlier else 0),
            first_at=earlier.first_at if earlier else at,
            last_at=at,
        )
        of_asset[found.reason] = found
        self._findings_dirty[asset_id, found.reason] = found

    def resolve_finding(self, asset_id: str, reason: str, at: int) -> None:
        """Say that somebody dealt with a finding; found again, it is open again."""
        found = self._findings.get(asset_id, {}).get(reason)
        if found is not None:
            found = msgspec.structs.replace(found, resolved_at=at)
            self._findings[asset_id][reason] = self._findings_dirty[asset_id, reason] = found

    async def flush(self) -> None:
        """Write what changed since the last call, in one transaction; on an error keep it."""
        heard, findings = dict(self._heard_dirty), dict(self._findings_dirty)
        if not heard and not findings:
            return
        heard_rows = [
            {"asset_id": asset_id, "gateway": gateway, "first_at": at}
            for asset_id, (gateway, at) in heard.items()
        ]
        finding_rows = [
            {"asset_id": asset_id, **msgspec.structs.asdict(found)}
            for (asset_id, _), found in findings.items()
        ]

        def write(connection: Connection) -> None:
            replace_rows(connection, tables.heard_asset, heard_rows)
            replace_rows(connection, tables.finding, finding_rows)

        await self._database.write(write)
        for asset_id in heard:
            del self._heard_dirty[asset_id]
        for key, found in findings.items():
            if self._findings_dirty[key] is found:
                del self._findings_dirty[key]

    async def put(
        self,
        asset_id: str,
        *,
        kind: str,
        name: str,
        gateways: Sequence[str],
        attributes: Mapping[str, Any],
        parties: Mapping[str, str] | None = None,
        also: Sequence[Work] = (),
    ) -> Asset:
        """Register or change an asset; durable, and in force for the next reading, on return.

        `parties`: organisations by the part that they play; `also`: written with it or not at all.
        """
        asset = Asset(
            asset_id=asset_id,
            kind=kind,
            name=name,
            gateways=sorted(set(gateways)),
            attributes=dict(attributes),
            category=category_of(kind),
            parties=dict(parties or {}),
            updated_at=self._clock.wall_ms(),
        )
        await self.put_all(lambda _: [asset], *also)
        return self._with_findings(asset)

    async def put_all(self, work: Callable[[Connection], Sequence[Asset]], *also: Work) -> None:
        """Register the assets that `work` returns, in its transaction; in force on return."""

        def write(connection: Connection) -> Sequence[Asset]:
            assets = work(connection)
            _write(connection, assets)
            return assets

        for asset in await self._database.write(write, *also):
            self._remember(asset)

    async def get(self, asset_id: str) -> Asset | None:
        """Return an asset with its findings, also one only heard of; None when never heard."""
        asset = self._assets.get(asset_id)
        if asset is None:
            if asset_id not in self._reporters and asset_id not in self._findings:
                return None
            asset = Asset(asset_id=asset_id, kind=scheme_of(asset_id), registered=False)
        return self._with_findings(asset)

    def all(self, *, after: str = "", limit: int = 1_000) -> list[Asset]:
        """Return assets by id, those after `after`, at most `limit`."""
        ids = sorted(asset_id for asset_id in self._reporters if asset_id > after)[:limit]
        known = self._assets
        return [
            known.get(asset_id)
            or Asset(asset_id=asset_id, kind=scheme_of(asset_id), registered=False)
            for asset_id in ids
        ]

    def names_gateway(self, gateway_id: str) -> bool:
        """Tell whether the gateway is registered itself or named by a registered asset."""
        return bool(self._of_gateway.get(gateway_id)) or f"gateway:{gateway_id}" in self._assets

    def admits_gateway(self, scope: Scope, gateway_id: str) -> bool:
        """Tell whether the scope admits an asset that names this gateway, or the gateway itself."""
        if scope.everything:
            return True
        itself = self._assets.get(f"gateway:{gateway_id}")
        if itself is not None and scope.admits(itself):
            return True
        named_by = self._of_gateway.get(gateway_id, ())
        return any(scope.admits(self._assets[asset_id]) for asset_id in named_by)

    def with_rescue_code(self, code: str) -> list[str]:
        """Return the registered assets with this code on their plate, by id."""
        return sorted(self._codes.get(code, ()))

    def gateways_in(self, scope: Scope) -> frozenset[str] | None:
        """Return the gateways that `admits_gateway` admits, None for everything.

        Kept by place and party, so that it takes 0.1 ms for thousands and needs no cache.
        """
        return None if scope.everything else self._gateways.seen_by(scope)

    def peek(self, asset_id: str) -> Asset | None:
        """Return a registered asset at once, without its findings."""
        return self._assets.get(asset_id)

    def _remember(self, asset: Asset) -> None:
        earlier = self._assets.get(asset.asset_id)
        for gateway in earlier.gateways if earlier else ():
            self._of_gateway[gateway].discard(asset.asset_id)
        for gateway in asset.gateways:
            self._of_gateway.setdefault(gateway, set()).add(asset.asset_id)
        if earlier is not None:
            self._gateways.remove(earlier)
            self._codes.get(_rescue_code(earlier), set()).discard(asset.asset_id)
        if code := _rescue_code(asset):
            self._codes.setdefault(code, set()).add(asset.asset_id)
        self._gateways.add(asset)
        self._assets[asset.asset_id] = asset
        self._reporters[asset.asset_id] = frozenset(asset.gateways)

    def _with_findings(self, asset: Asset) -> Asset:
        findings = sorted(
            self._findings.get(asset.asset_id, {}).values(), key=lambda found: -found.last_at
        )
        return msgspec.structs.replace(asset, findings=findings)


def _rescue_code(asset: Asset) -> str:
    code = asset.attributes.get("rescue_code")
    return str(code) if isinstance(code, str | int) else ""


def _since(finding: Table, since_ms: int) -> ColumnElement[bool]:
    return or_(finding.c.last_at >= since_ms, finding.c.resolved_at >= since_ms)


def _write(connection: Connection, assets: Sequence[Asset]) -> None:
    replace_rows(connection, tables.asset, [_row(asset) for asset in assets])
    gateway, party = tables.asset_gateway, tables.asset_party
    for start in range(0, len(assets), ASSETS_A_QUERY):
        ids = [asset.asset_id for asset in assets[start : start + ASSETS_A_QUERY]]
        for table in (gateway, party):
            connection.execute(delete(table).where(table.c.asset_id.in_(ids)))
    named = [
        {"asset_id": asset.asset_id, "gateway_id": one}
        for asset in assets
        for one in asset.gateways
    ]
    parts = [
        {"asset_id": asset.asset_id, "part": part, "organisation": organisation}
        for asset in assets
        for part, organisation in sorted(asset.parties.items())
    ]
    insert_rows(connection, gateway, named)
    insert_rows(connection, party, parts)


def _row(asset: Asset) -> dict[str, Any]:
    return {
        "asset_id": asset.asset_id,
        "kind": asset.kind,
        "name": asset.name,
        "gateways": msgspec.json.encode(asset.gateways).decode(),
        "attributes": msgspec.json.encode(asset.attributes).decode(),
        "district": asset.district,
        "category": asset.category,
        "updated_at": asset.updated_at,
    }


def _parties(connection: Connection, since_ms: int) -> dict[str, dict[str, str]]:
    asset, party = tables.asset, tables.asset_party
    query = select(party).join(asset, asset.c.asset_id == party.c.asset_id)
    found: dict[str, dict[str, str]] = {}
    shared: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for row in connection.execute(query.where(asset.c.updated_at >= since_ms)):
        parts = {**found.get(row.asset_id, {}), row.part: row.organisation}
        found[row.asset_id] = shared.setdefault(tuple(sorted(parts.items())), parts)
    return found


@lru_cache(maxsize=SHARED_MAX)
def _gateways(text: str) -> list[str]:
    return msgspec.json.decode(text, type=list[str])


@lru_cache(maxsize=SHARED_MAX)
def _attributes(text: str) -> dict[str, Any]:
    return msgspec.json.decode(text, type=dict[str, Any])


def _asset(row: Any, parties: dict[str, str]) -> Asset:
    return Asset(
        asset_id=row.asset_id,
        kind=intern(row.kind),
        name=row.name,
        gateways=_gateways(row.gateways),
        attributes=_attributes(row.attributes),
        category=intern(row.category),
        parties=parties,
        updated_at=row.updated_at,
    )
