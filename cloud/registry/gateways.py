"""The gateways: who is online, since when heard, and what they say of their health."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from cloud.model import tables
from cloud.model.database import Database
from cloud.model.gateway import Gateway
from cloud.model.rows import replace_rows
from protocols.messages import State

GATEWAYS_MAX = 100_000
"""Known gateways; further ones are served as well, but not listed."""
COUNTERS_MAX = 200
"""Counters kept of one gateway's status, the first ones by name."""
HEARD_WRITTEN_EACH_MS = 10_000
"""`last_heard_at` alone is written no oftener: a thousand gateways speak every second."""


class GatewayBook:
    """All gateways in memory. Not thread-safe: it lives on the event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gateways: dict[str, Gateway] = {}
        self._dirty: set[str] = set()
        self._heard_written: dict[str, int] = {}

    async def load(self) -> None:
        """Read what was written earlier; call once, before anything else."""
        rows = await self._database.read(lambda c: c.execute(select(tables.gateway)).all())
        for row in rows:
            self._gateways[row.gateway_id] = _gateway(row)

    async def reload(self, elsewhere: Callable[[str], bool]) -> None:
        """Read again the gateways of which another process writes, or wrote until now."""
        rows = await self._database.read(lambda c: c.execute(select(tables.gateway)).all())
        for row in rows:
            if elsewhere(row.gateway_id) and row.gateway_id not in self._dirty:
                self._gateways[row.gateway_id] = _gateway(row)

    def leave(self, gone: Callable[[str], bool]) -> None:
        """Write nothing more of these gateways: another process does from now on."""
        self._dirty = {gateway_id for gateway_id in self._dirty if not gone(gateway_id)}

    def heard(self, gateway_id: str, at: int) -> None:
        """Note that something of this gateway was received at `at` (ms since 1970)."""
        gateway = self._known(gateway_id)
        if gateway is None or at <= (gateway.last_heard_at or 0):
            return
        self._gateways[gateway_id] = msgspec.structs.replace(gateway, last_heard_at=at)
        if at - self._heard_written.get(gateway_id, 0) >= HEARD_WRITTEN_EACH_MS:
            self._dirty.add(gateway_id)

    def set_state(self, gateway_id: str, state: State, at: int) -> bool:
        """Take a `state` message; True when the gateway's `online` changed or is first known.

        A late Will of another boot than the one online counts for nothing.
        """
        gateway = self._known(gateway_id)
        if gateway is None:
            return False
        first = gateway.boot_id is None
        if not state.online and not first and state.boot_id[:64] != gateway.boot_id:
            return False
        changed = first or state.online != gateway.online
        gateway = msgspec.structs.replace(gateway, online=state.online, boot_id=state.boot_id[:64])
        if state.online:
            gateway = msgspec.structs.replace(
                gateway,
                version=state.version[:64] if state.version else None,
                site_sha256=state.site_sha256[:64] if state.site_sha256 else None,
                last_heard_at=max(at, gateway.last_heard_at or 0),
            )
        self._gateways[gateway_id] = gateway
        self._dirty.add(gateway_id)
        return changed

    def set_counters(self, gateway_id: str, counters: Mapping[str, int | float]) -> None:
        """Take the counters of a status record instead of the earlier ones."""
        gateway = self._known(gateway_id)
        if gateway is None:
            return
        kept = {name[:64]: counters[name] for name in sorted(counters)[:COUNTERS_MAX]}
        self._gateways[gateway_id] = msgspec.structs.replace(gateway, counters=kept)
        self._dirty.add(gateway_id)

    async def flush(self) -> None:
        """Write what changed since the last call, in one transaction; on an error keep it."""
        written = {gateway_id: self._gateways[gateway_id] for gateway_id in self._dirty}
        if not written:
            return
        rows = [_row(gateway) for gateway in written.values()]

        def write(connection: Connection) -> None:
            replace_rows(connection, tables.gateway, rows)

        await self._database.write(write)
        for gateway_id, gateway in written.items():
            self._heard_written[gateway_id] = gateway.last_heard_at or 0
            if self._gateways[gateway_id] is gateway:
                self._dirty.discard(gateway_id)

    def get(self, gateway_id: str) -> Gateway | None:
        """Return a gateway, None when it was never heard of."""
        return self._gateways.get(gateway_id)

    def boot_of(self, gateway_id: str) -> str | None:
        """Return the boot that the gateway's newest `state` named, None before the first."""
        gateway = self._gateways.get(gateway_id)
        return None if gateway is None else gateway.boot_id

    def all(self) -> list[Gateway]:
        """Return all gateways by id."""
        return [self._gateways[gateway_id] for gateway_id in sorted(self._gateways)]

    def _known(self, gateway_id: str) -> Gateway | None:
        gateway = self._gateways.get(gateway_id)
        if gateway is None and len(self._gateways) < GATEWAYS_MAX:
            gateway = self._gateways[gateway_id] = Gateway(gateway_id=gateway_id)
        return gateway


def _row(gateway: Gateway) -> dict[str, Any]:
    row = msgspec.structs.asdict(gateway)
    row["counters"] = msgspec.json.encode(gateway.counters).decode()
    return row


def _gateway(row: Any) -> Gateway:
    fields = dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public way to a row's names
    fields["counters"] = msgspec.json.decode(row.counters, type=dict[str, int | float])
    return Gateway(**fields)
