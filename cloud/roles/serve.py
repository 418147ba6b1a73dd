"""The serving part: API, pages and feed over HTTP."""

import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from cloud.access.limiter import FailureLimiter
from cloud.access.own import OwnAccount
from cloud.access.passwords import hash_password
from cloud.alarms.desk import AlarmDesk
from cloud.api.base import Services
from cloud.feed.sse import stream
from cloud.handheld.book import HandheldBook
from cloud.incidents.desk import IncidentDesk
from cloud.ingest.account import read_ledger
from cloud.model.asset import LatestValue
from cloud.model.ledger import SpoolLedger
from cloud.model.retention import RetentionRun
from cloud.model.scan import KeptScan
from cloud.open_data.source import OpenDataSource
from cloud.organisations.export import Export
from cloud.organisations.signup import ATTEMPTS_MAX, ATTEMPTS_WINDOW_MS, SignUpDesk
from cloud.platforms.intake import PlatformIntake
from cloud.retention.base import RulesOfData
from cloud.retention.runs import read_runs
from cloud.roles.alarms import open_figures
from cloud.roles.audit import AuditPart
from cloud.roles.common import Common
from cloud.roles.cylinders import CylindersPart
from cloud.roles.desk import open_desk
from cloud.roles.lifts import LiftsPart
from cloud.roles.receivers import receivers_of
from cloud.roles.sign_on import open_sign_on
from cloud.roles.trace import TracePart
from cloud.roles.trace_delivery import key_file
from cloud.roles.trust import TrustPart
from cloud.rules.follower import ValuesFollower
from cloud.scans.find import find_scans
from cloud.settings import Settings
from cloud.telemetry.base import TelemetryStore
from cloud.trace.resolver.base import Codes
from cloud.trace.resolver.book import LinkBook
from cloud.trust import signing
from cloud.web import pages
from protocols.catalog.inspections import load_forms

Latest = Callable[[str], Mapping[str, LatestValue]]
AssetsOf = Callable[[str], Sequence[str]]


class ServeRole:
    """Everything that people and other systems ask for."""

    def __init__(
        self,
        common: Common,
        desk: AlarmDesk,
        store: TelemetryStore,
        rescues: IncidentDesk,
        *,
        values: tuple[Latest, AssetsOf] | None,
        own_ledger: Callable[[str], Sequence[SpoolLedger] | None],
        rules_lag_ms: Callable[[], int],
        ready: Callable[[], tuple[bool, str]],
        metrics: Callable[[], bytes],
    ) -> None:
        """Put the HTTP side together.

        Args:
            common: what all parts share.
            desk: alarms.
            store: readings.
            rescues: incidents.
            values: newest values, and the assets of a gateway, if this process judges; else the
                log is followed for them.
            own_ledger: the account of a gateway, None when another process keeps it.
            rules_lag_ms: age of the oldest group that was not judged.
            ready: whether the process does its work, and if not, why.
            metrics: Prometheus text.

        """
        self._common, self._own_ledger, self._lag_ms = common, own_ledger, rules_lag_ms
        self._follower: ValuesFollower | None = None
        if values is None:
            self._follower, values = _follow(common)
        self._trust, self._audit = TrustPart(common), AuditPart(common)
        self._cylinders, self.lifts = CylindersPart(common, desk), LiftsPart(common)
        self._trace, self._sign_on = TracePart(common), open_sign_on(common, self._audit.book)
        self.services = Services(
            registry=common.registry,
            gateways=common.gateways,
            remote=common.remote,
            ledger=self._ledger,
            **_alarms(common, desk),
            incidents=rescues,
            feed=common.feed,
            stream=self._stream,
            telemetry=store,
            latest=values[0],
            assets_of=values[1],
            scans=self._scans,
            data=_rules_of_data(common),
            ready=ready,
            metrics=metrics,
            **_people(common),
            platforms=common.platforms,
            intake=_intake(common),
            handhelds=_handhelds(common, self._cylinders),
            audit=self._audit.book,
            sign_on=self._sign_on,
            trace=self._trace.trace,
            codes=Codes(common.schemes, LinkBook(common.state_db, common.clock)),
            desk=open_desk(common),
            **_files(self._cylinders, self.lifts),
            signing_keys=partial(signing.anchors, common.data),
            trust=self._trust.desk,
            clock=common.clock,
            **_as_set(common.settings) | receivers_of(common, desk),
            stopping=common.stopping,
            mounts=(pages.mount,),
        )

    async def start(self) -> None:
        """Read what was stored."""
        await self._common.access.open_key(key_file(self._common))
        if self._sign_on is not None:
            await self._sign_on.load()
        if self._follower is not None:
            await self._follower.start()

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what runs until the process stops."""
        parts = {"watch broker": self._trust.run(), "keep audit heads": self._audit.run()}
        parts |= self._trace.parts()
        parts |= self._cylinders.parts()
        parts |= self.lifts.parts()
        if self._follower is not None:
            parts["follow values"] = self._follower.run()
        return parts

    async def keep_house(self) -> None:
        """Read what other processes wrote of gateways; about once a second."""
        if not self._common.alone:
            await self._common.gateways.reload(self._kept_elsewhere)

    def _kept_elsewhere(self, gateway: str) -> bool:
        return self._own_ledger(gateway) is None

    def _stream(
        self, after: int | None, admits: Callable[[str], bool] | None
    ) -> AsyncIterator[str]:
        common = self._common
        return stream(
            common.feed,
            after=after,
            admits=admits,
            lag_ms=self._lag_ms,
            stopping=common.stopping,
        )

    async def _scans(self, **asked: Any) -> list[KeptScan]:
        return await self._common.state_db.read(lambda c: find_scans(c, **asked))

    async def _ledger(self, gateway: str) -> Sequence[SpoolLedger]:
        own = self._own_ledger(gateway)
        if own is not None:
            return own
        return await self._common.log_db.read(lambda c: read_ledger(c, gateway))


def _files(cylinders: CylindersPart, lifts: LiftsPart) -> dict[str, Any]:
    """Return what the HTTP side takes of the files of cylinders and lifts."""
    return {
        "cylinders": cylinders.desks,
        "snapshots": cylinders.snapshots,
        "photos": cylinders.photos,
        "lifts": lifts.desks,
    }


def _as_set(settings: Settings) -> dict[str, Any]:
    """Return what the HTTP side takes from the settings as it is."""
    return {
        "rates": settings.http.rates,
        "sockets": settings.http.sockets,
        "base_url": settings.base_url,
        "language": settings.language,
        "time_zone": settings.time_zone,
    }


def _people(common: Common) -> dict[str, Any]:
    """Return who is let in, and the organisations that they belong to."""
    return {
        "access": common.access,
        "accounts": common.accounts,
        "devices": common.devices,
        "own": OwnAccount(common.clock, common.access),
        "organisations": common.organisations,
        "sign_ups": _sign_ups(common),
        "exports": Export(common.state_db, common.clock),
    }


def _alarms(common: Common, desk: AlarmDesk) -> dict[str, Any]:
    return {"alarms": desk, "alarm_figures": open_figures(common, desk)}


def _sign_ups(common: Common) -> SignUpDesk:
    return SignUpDesk(
        common.state_db,
        common.clock,
        common.organisations,
        limiter=FailureLimiter(ATTEMPTS_WINDOW_MS, ATTEMPTS_MAX),
        hash_password=hash_password,
        new_id=lambda: f"firm-{secrets.token_hex(6)}",
    )


def _intake(common: Common) -> PlatformIntake:
    def wake() -> None:
        for one in common.on_inbox:
            one()

    return PlatformIntake(
        common.state_db,
        common.clock,
        dialects=common.platforms.dialects,
        platform=common.platforms.known,
        asset=common.registry.peek,
        finding=common.registry.add_finding,
        keep_dead=common.keep_dead,
        on_taken=wake,
    )


def _handhelds(common: Common, cylinders: CylindersPart) -> HandheldBook:
    grace_s = common.settings.accounts.offline_grace_s
    return HandheldBook(
        common.state_db,
        common.clock,
        offline_grace_s=grace_s,
        judges=cylinders.judges,
        rules=common.cylinder_rules,
        fills=cylinders.fills,
        forms=load_forms(common.overlay()),
    )


def _rules_of_data(common: Common) -> RulesOfData:
    database, rules = common.state_db, common.data_rules
    zone = ZoneInfo(common.settings.time_zone)

    async def runs(limit: int) -> list[RetentionRun]:
        return await database.read(lambda c: read_runs(c, limit))

    made = OpenDataSource(database, rules.open(), common.clock, zone)
    return RulesOfData(rules=rules, runs=runs, open=made)


def _follow(common: Common) -> tuple[ValuesFollower, tuple[Latest, AssetsOf]]:
    follower = ValuesFollower(
        log=common.log,
        database=common.state_db,
        rules=common.rules(),
        clock=common.clock,
    )
    common.on_log.append(follower.wake)
    return follower, (follower.latest, follower.assets_of)
