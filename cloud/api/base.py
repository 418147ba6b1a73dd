"""What the HTTP side needs of the service, as small Protocols.

The composition root fills `Services` with the real parts; tests fill it with small ones.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fastapi import FastAPI
from msgspec import Struct

from cloud.access.base import Access, Accounts, Devices, OwnAccount
from cloud.alarms.base import AlarmFigures, Alarms
from cloud.api.epcis.base import Trace
from cloud.api.rates import Rates
from cloud.api.sockets import Sockets
from cloud.audit.base import Audit
from cloud.cylinders.base import CylinderDesks
from cloud.desk.base import RescueDesk
from cloud.feed.cap.base import CapFeed
from cloud.feed.receivers.base import Receivers
from cloud.handheld.base import Handhelds, Photos
from cloud.incidents.base import Incidents
from cloud.lifts.base import LiftDesks
from cloud.model.asset import Asset, LatestValue
from cloud.model.audit import Entry, entry_of
from cloud.model.database import Work
from cloud.model.gateway import Gateway
from cloud.model.ledger import SpoolLedger
from cloud.model.personal import personal_in
from cloud.model.principal import Granted, Scope
from cloud.model.registering import (
    AssetBody,
    Seen,
    check_cylinder,
    check_gateways,
    check_place,
    is_new,
    parties_after,
    what_changes,
)
from cloud.model.remote import Asked, CommandEntry, ConfigPush, Member, Rollout
from cloud.model.scan import KeptScan
from cloud.model.session import Session
from cloud.oidc.base import SignOn
from cloud.organisations.base import Exports, Organisations, SignUps
from cloud.platforms.base import Intake, Platforms
from cloud.retention.base import RulesOfData
from cloud.telemetry.base import Aggregate, Series
from cloud.trace.resolver.base import Codes
from cloud.trust.base import Trust
from protocols.clock import Clock
from protocols.errors import RefuseInput
from protocols.ids import check_asset_id, scheme_of
from protocols.signed import Release


class Registry(Protocol):
    """The assets."""

    async def put(
        self,
        asset_id: str,
        *,
        kind: str,
        name: str,
        gateways: Sequence[str],
        attributes: Mapping[str, Any],
        parties: Mapping[str, str],
        also: Sequence[Work] = (),
    ) -> Asset:
        """Register or change an asset; durable on return."""
        ...

    async def get(self, asset_id: str) -> Asset | None:
        """Return an asset, also one only heard of."""
        ...

    def names_gateway(self, gateway_id: str) -> bool:
        """Tell whether some registered asset names this gateway."""
        ...

    def admits_gateway(self, scope: Scope, gateway_id: str) -> bool:
        """Tell whether the scope admits an asset that names this gateway, or the gateway itself."""
        ...

    def gateways_in(self, scope: Scope) -> frozenset[str] | None:
        """Return the gateways that the scope admits, None for everything."""
        ...

    def peek(self, asset_id: str) -> Asset | None:
        """Return a registered asset at once, without its findings."""
        ...


class Gateways(Protocol):
    """The gateways ever heard of."""

    def get(self, gateway_id: str) -> Gateway | None:
        """Return one."""
        ...

    def all(self) -> list[Gateway]:
        """Return all, by id."""
        ...


class Feed(Protocol):
    """The durable feed."""

    @property
    def head(self) -> int:
        """Offset of the newest item known here, 0 when there is none; may be a little behind."""
        ...


class Scans(Protocol):
    """Finds what readers and scanners saw."""

    async def __call__(
        self,
        *,
        among: frozenset[str] | None,
        gateway: str | None = None,
        reader: str | None = None,
        code: str | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> list[KeptScan]:
        """Return scans of gateways, None for all, the latest first.

        `code`: exactly this value in any scheme.
        """
        ...


class Telemetry(Protocol):
    """The reading side of a telemetry store; blocking, so called in a thread."""

    def readings(
        self, asset: str, points: Sequence[str], from_ms: int, to_ms: int, limit: int
    ) -> Series:
        """Return raw values."""
        ...

    def aggregate(
        self,
        asset: str,
        points: Sequence[str],
        from_ms: int,
        to_ms: int,
        step_ms: int,
        how: Aggregate,
    ) -> Series:
        """Return one value per step."""
        ...


class Health(Protocol):
    """What every process tells of itself."""

    @property
    def ready(self) -> Callable[[], tuple[bool, str]]:
        """(ready, what is missing)."""
        ...

    @property
    def metrics(self) -> Callable[[], bytes]:
        """Prometheus text."""
        ...


async def _no_scans(**_asked: object) -> list[KeptScan]:
    return []


class Releases(Protocol):
    """The releases of the gateway's software."""

    def serials(self) -> Sequence[int]:
        """Return the numbers of all, newest first."""
        ...

    def release(self, serial: int) -> Release:
        """Return one; RefuseInput `not_found`."""
        ...

    def file(self, serial: int, name: str) -> Path:
        """Return a wheel's path; RefuseInput `not_found`."""
        ...


class Remote(Protocol):
    """What is asked of gateways."""

    @property
    def releases(self) -> Releases:
        """The releases."""
        ...

    async def command(
        self,
        gateway_id: str,
        *,
        op: str,
        args: Mapping[str, Any],
        expires_in_s: int,
        by: str,
        also: Sequence[Work] = (),
    ) -> CommandEntry:
        """Take a command; RefuseInput `too_large`, `too_many_commands`."""
        ...

    async def commands(self, gateway_id: str, limit: int) -> Sequence[CommandEntry]:
        """Return the newest commands, newest first."""
        ...

    async def find_command(self, gateway_id: str, command_id: str) -> CommandEntry | None:
        """Return one."""
        ...

    async def push(
        self,
        gateway_id: str,
        *,
        site: str,
        overlay: Mapping[str, str],
        not_after: int | None,
        by: str,
        also: Sequence[Work] = (),
    ) -> ConfigPush:
        """Sign and send a configuration; RefuseInput `bad_site`, `bad_path`, `too_large`."""
        ...

    async def pushes(self, gateway_id: str, limit: int) -> Sequence[ConfigPush]:
        """Return the newest configurations, newest first."""
        ...

    async def overview(self, gateways: Sequence[str], commands: int) -> Mapping[str, Asked]:
        """Return the newest configuration and commands of some gateways."""
        ...

    async def roll_out(
        self, plan: Rollout, gateways: Sequence[str], also: Sequence[Work] = ()
    ) -> tuple[Rollout, Sequence[Member]]:
        """Begin a rollout; RefuseInput `not_found`, `bad_request`."""
        ...

    async def rollout(self, rollout_id: int) -> tuple[Rollout, Sequence[Member]]:
        """Return one; RefuseInput `not_found`."""
        ...

    async def rollouts(self, limit: int) -> Sequence[Rollout]:
        """Return rollouts, newest first."""
        ...

    async def under_way(self, limit: int) -> Sequence[tuple[Rollout, Mapping[str, int]]]:
        """Return rollouts that are not done, newest first, with their gateways by state."""
        ...

    async def set_rollout(
        self, rollout_id: int, *, running: bool, reason: str, also: Sequence[Work] = ()
    ) -> Rollout:
        """Stop one or let it go on; RefuseInput `not_found`, `finished`."""
        ...


class Snapshots(Protocol):
    """What the gateways of filling stations keep of cylinders; blocking, so called in a thread."""

    def offer(self, filler: str, have: int, *, whole: bool = ...) -> bytes:
        """Return the signed manifest of what a gateway should take next; RefuseInput."""
        ...

    def file(self, filler: str, sha256: str) -> Path:
        """Return the path of a file that a manifest names; RefuseInput `not_found`."""
        ...


def _no_assets(_gateway_id: str) -> Sequence[str]:
    return ()


@dataclass(frozen=True, kw_only=True)
class Services:
    """All that the HTTP side works with."""

    registry: Registry
    gateways: Gateways
    remote: Remote
    ledger: Callable[[str], Awaitable[Sequence[SpoolLedger]]]
    """The spools of a gateway, newest first."""
    alarms: Alarms
    incidents: Incidents
    alarm_figures: AlarmFigures
    feed: Feed
    stream: Callable[[int | None, Callable[[str], bool] | None], AsyncIterator[str]]
    """SSE text from after that offset (None: live only), of the assets that the second argument
    admits (None: all); RefuseInput `gone` at once."""
    receivers: Receivers
    cap: CapFeed
    telemetry: Telemetry
    latest: Callable[[str], Mapping[str, LatestValue]]
    assets_of: Callable[[str], Sequence[str]] = _no_assets
    """Assets that this gateway reported last."""
    scans: Scans = _no_scans
    data: RulesOfData
    ready: Callable[[], tuple[bool, str]]
    """(ready, what is missing)."""
    metrics: Callable[[], bytes]
    """Prometheus text."""
    access: Access
    accounts: Accounts
    devices: Devices
    platforms: Platforms
    intake: Intake
    handhelds: Handhelds
    photos: Photos
    own: OwnAccount
    audit: Audit
    organisations: Organisations
    sign_ups: SignUps
    exports: Exports
    trace: Trace
    codes: Codes
    desk: RescueDesk
    cylinders: CylinderDesks
    lifts: LiftDesks
    trust: Trust | None = None
    """None: this service has no authority."""
    snapshots: Snapshots | None = None
    """None: this service has no registry of cylinders."""
    signing_keys: Callable[[], Sequence[bytes]] = tuple
    """The raw public keys that sign snapshots; none: nothing is signed here."""
    sign_on: SignOn | None = None
    """None: nobody signs on elsewhere."""
    clock: Clock
    rates: Rates = field(default_factory=Rates)
    sockets: Sockets = field(default_factory=Sockets)
    stopping: asyncio.Event
    base_url: str = ""
    """As people and devices reach the service; empty: as the request says."""
    language: str = "zh"
    """`zh` or `en`, until a visitor chooses."""
    time_zone: str = "Asia/Shanghai"
    """IANA name; pages show times in it."""
    mounts: Sequence[Callable[[FastAPI, "Services"], None]] = ()
    """What else is served, such as `cloud.web.pages.mount`."""

    def noted(self, granted: Granted, subject: str, **detail: object) -> Work:
        """Return what writes the call into the audit, for the transaction that carries it out.

        `detail`: names of what changed, ids and states; no personal data and no secret.
        """
        return self.audit.noted(entry_of(granted, self.clock.wall_ms(), subject, **detail))

    async def note(self, granted: Granted, subject: str, **detail: object) -> None:
        """Write the call into the audit by itself, where what it does is in no transaction."""
        await self.audit.note(entry_of(granted, self.clock.wall_ms(), subject, **detail))

    async def shown(self, granted: Granted, *things: Struct) -> None:
        """Note a look at what is personal in things, before they leave."""
        if shown := personal_in(things):
            await self.audit.look(granted, shown)

    async def end_own_session(self, granted: Granted, session: Session, session_id: str) -> None:
        """End one of the caller's sessions; RefuseInput `not_found`. Noted before it is done."""
        if session_id not in {one.id for one in self.own.sessions(session)}:
            raise RefuseInput("not_found", f"no session {session_id[:40]!r}")
        await self.note(granted, granted.principal.id, what="session ended")
        await self.own.end_session(session, session_id)

    def redeem_noted(self, subject: str) -> Work:
        """Return what writes into the audit that a one-time code was used."""
        entry = Entry(
            recorded_at=self.clock.wall_ms(),
            by=subject,
            call="account.redeem",
            subject=subject,
        )
        return self.audit.noted(entry)

    def sign_up_noted(self, organisation_id: str, repeated: bool) -> Work:
        """Return what writes into the audit that a stranger asked to be let in."""
        entry = Entry(
            recorded_at=self.clock.wall_ms(),
            by="stranger",
            call="organisations.sign_up",
            subject=f"organisation:{organisation_id}",
            detail={"repeated": repeated},
        )
        return self.audit.noted(entry)

    def admission(self, scope: Scope) -> Callable[[str], bool]:
        """Return what tells of an asset id whether the scope admits it, known or not."""

        def admits(asset_id: str) -> bool:
            asset = self.registry.peek(asset_id)
            unknown = Asset(asset_id=asset_id, kind=scheme_of(asset_id), registered=False)
            return scope.admits(asset or unknown)

        return admits

    async def register(
        self, granted: Granted, asset_id: str, body: AssetBody
    ) -> tuple[Asset, bool]:
        """Register or change an asset, and tell whether it is new.

        Raises:
            RefuseInput: `bad_asset_id`, `not_found`, `forbidden`, or `quota_reached`: a firm's own
                things are counted, not those that an office registers for it.

        """
        check_asset_id(asset_id)
        earlier = await self.registry.get(asset_id)
        parties = parties_after(body.parties, earlier, granted)
        kind = body.kind or scheme_of(asset_id)
        check_cylinder(earlier, kind, parties)
        check_place(kind, body, parties, granted.scope)
        seen = Seen(self.registry.admits_gateway, self.registry.names_gateway, self.assets_of)
        check_gateways(seen, asset_id, body, earlier, granted.scope)
        changed = what_changes(earlier, body, parties)
        also = [self.noted(granted, f"asset:{asset_id}", **changed)]
        if is_new(earlier):
            also += [
                self.organisations.room(own, "assets_max") for own in granted.scope.organisations
            ]
        asset = await self.registry.put(
            asset_id,
            kind=kind,
            name=body.name,
            gateways=body.gateways,
            attributes=body.attributes,
            parties=parties,
            also=also,
        )
        return asset, is_new(earlier)

    async def known_asset(self, asset_id: str, scope: Scope) -> Asset:
        """Return an asset that is registered or was heard of, and that the scope admits.

        One outside the scope is not told from one that does not exist.

        Raises:
            RefuseInput: `bad_asset_id` or `not_found`.

        """
        check_asset_id(asset_id)
        asset = await self.registry.get(asset_id)
        if asset is None and self.latest(asset_id):  # the service's own, such as service:cloud
            asset = Asset(asset_id=asset_id, kind=scheme_of(asset_id), registered=False)
        if asset is None or not scope.admits(asset):
            raise RefuseInput("not_found", f"{asset_id} is not registered and was never heard of")
        return asset
