"""The composition root of the cloud: builds a process's parts, starts them, stops them in order."""

import asyncio
import contextlib
import fcntl
import gc
import logging
import sys
import time
from collections.abc import Collection, Coroutine, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

import uvicorn

from cloud.alarms.desk import AlarmDesk
from cloud.api.app import create_app, create_health_app
from cloud.api.server import CertificateWatch, HttpsOnly, server_config
from cloud.incidents.desk import IncidentDesk
from cloud.ingest.subscriber import BrokerAddress
from cloud.model.ledger import SpoolLedger
from cloud.model.urls import masked
from cloud.roles.alarms import open_desk
from cloud.roles.common import Common
from cloud.roles.consume import ConsumeRole
from cloud.roles.elsewhere import ConsumersElsewhere
from cloud.roles.ingest import IngestRole
from cloud.roles.rescue import acknowledge_with, guarded, open_rescues
from cloud.roles.serve import ServeRole
from cloud.rules.store import RULES
from cloud.settings import Settings, host_and_port
from cloud.telemetry.base import TelemetryStore
from cloud.telemetry.open import open_store
from protocols.clock import Clock, SystemClock
from protocols.errors import Fault, FixConfiguration, RetryLater, StopService

logger = logging.getLogger("suyuan.cloud")


class Role(StrEnum):
    """What a process does."""

    INGEST = "ingest"
    CONSUME = "consume"
    API = "api"


HOUSEKEEPING_S = 1.0
COLLECT_S = 600.0
STOP_S = 8.0
SWITCH_S = 0.001
"""So long a thread keeps the interpreter while another waits. With Python's 5 ms the event loop,
which lets go at each read, gets a thirtieth of the time while telemetry makes columns."""


class Service:
    """Everything of one process; `run` returns after a clean stop."""

    def __init__(
        self,
        *,
        data: Path,
        http: tuple[str, int],
        broker: BrokerAddress,
        settings: Settings,
        admin_token: str | None,
        roles: Collection[Role] = tuple(Role),
        name: str = "cloud",
        clock: Clock | None = None,
    ) -> None:
        _check_roles(settings, set(roles))
        self._http, self._settings = http, settings
        self._lock = lock_folder(data)
        self._common = common = Common(
            data=data,
            settings=settings,
            name=name,
            admin_token=admin_token,
            clock=clock or SystemClock(),
        )
        common.broker = broker
        rescues = open_rescues(common)
        desk = open_desk(common, follow=guarded(rescues))
        acknowledge_with(rescues, desk)
        self._store: TelemetryStore | None = None
        self._consume: ConsumeRole | None = None
        self._elsewhere: ConsumersElsewhere | None = None
        self._ingest: IngestRole | None = None
        self._serve: ServeRole | None = None
        self._certificate: CertificateWatch | None = None
        if set(roles) - {Role.INGEST}:
            self._store = store = self._open_store(data / "telemetry")
            if Role.CONSUME in roles:
                apart = Role.API not in roles
                self._consume = ConsumeRole(common, desk, store, rescues, may_stand_by=apart)
            if Role.API in roles:
                self._serve = self._build_serving(desk, store, rescues)
        if self._consume is None:
            self._elsewhere = ConsumersElsewhere(common)
        if Role.INGEST in roles:
            self._ingest = IngestRole(common, broker, self._consumer_lag_ms)

    def _open_store(self, folder: Path) -> TelemetryStore:
        telemetry = self._settings.telemetry
        return open_store(
            telemetry.url,
            folder=folder,
            clock=self._common.clock,
            retention_days=telemetry.retention_days,
            memory_limit_mb=telemetry.memory_limit_mb,
        )

    def _build_serving(
        self, desk: AlarmDesk, store: TelemetryStore, rescues: IncidentDesk
    ) -> ServeRole:
        rules = self._consume.rules if self._consume else None
        return ServeRole(
            self._common,
            desk,
            store,
            rescues,
            values=(rules.latest, rules.assets_of) if rules else None,
            own_ledger=self._own_ledger,
            rules_lag_ms=lambda: self._lags_ms().get(RULES, 0),
            ready=self.ready,
            metrics=self.metrics,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set.

        Raises:
            StopService: a part ended that must not.

        """
        sys.setswitchinterval(SWITCH_S)
        await self._load()
        config = self._http_config()
        self._certificate = CertificateWatch(config)
        servers = [_QuietServer(config), *self._redirecting()]
        parts: dict[str, Coroutine[Any, Any, None]] = {
            "http": _serve_all(servers),
            "follow": self._common.follow(),
            "housekeeping": self._keep_house(),
            "garbage": self._collect_garbage(),
        }
        for role in self._roles():
            parts |= role.parts()
        tasks = [asyncio.create_task(part, name=name) for name, part in parts.items()]
        ingest = asyncio.create_task(self._run_ingest(), name="ingest")
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait([*tasks, ingest, stopped], return_when=asyncio.FIRST_COMPLETED)
            _raise_if_ended([*tasks, ingest])
        finally:
            self._common.stopping.set()
            for server in servers:
                server.should_exit = True
            await _cancel(ingest)
            await self._finish(tasks)

    def _roles(self) -> Sequence[IngestRole | ConsumeRole | ServeRole]:
        return [role for role in (self._consume, self._ingest, self._serve) if role is not None]

    async def _run_ingest(self) -> None:
        await (self._ingest.run() if self._ingest else asyncio.Event().wait())

    async def _load(self) -> None:
        await self._common.load()
        for role in self._roles():
            await role.start()

    async def _finish(self, tasks: list[asyncio.Task[None]]) -> None:
        http, *others = tasks
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S / 2):
                await asyncio.wait([http])
        for task in [http, *others]:
            await _cancel(task)
        if self._consume is not None:
            await self._consume.stop()
        if self._store is not None:
            self._store.close()
        await self._common.close()
        self._lock.close()

    def _http_config(self) -> uvicorn.Config:
        if self._serve is not None:
            app = create_app(self._serve.services)
        else:
            app = create_health_app(self, self._common.access)
        tls = self._settings.tls
        return server_config(
            app,
            self._http,
            cert_file=tls.cert_file,
            key_file=tls.key_file,
            proxies=list(self._settings.http.trusted_proxies),
            sockets=self._settings.http.sockets,
        )

    def _redirecting(self) -> "list[_QuietServer]":
        tls = self._settings.tls
        if not tls.redirect_from:
            return []
        where = host_and_port(tls.redirect_from, "tls.redirect_from")
        app = HttpsOnly(self._settings.base_url)
        sockets = self._settings.http.sockets
        config = server_config(app, where, cert_file="", key_file="", proxies=[], sockets=sockets)
        return [_QuietServer(config)]

    def _own_ledger(self, gateway: str) -> Sequence[SpoolLedger] | None:
        return self._ingest.ledger(gateway) if self._ingest else None

    def ready(self) -> tuple[bool, str]:
        """Tell whether all parts do their work, and if not, why not."""
        states = [role.ready() for role in (self._ingest, self._consume) if role is not None]
        why = [text for ready, text in states if not ready]
        return not why, "; ".join(why)

    def _lags_ms(self) -> dict[str, int]:
        where = self._consume or self._elsewhere
        return where.lags_ms() if where else {}

    def _consumer_lag_ms(self) -> int:
        return max(self._lags_ms().values(), default=0)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            try:
                await self._keep_house_once()
            except RetryLater as error:
                logger.warning("%s", error)

    async def _keep_house_once(self) -> None:
        if self._certificate is not None:
            self._certificate.look()
        await self._common.keep_house()
        if self._elsewhere is not None:
            await self._elsewhere.keep_house()
        for role in self._roles():
            await role.keep_house()

    async def _collect_garbage(self) -> None:
        """Collect by hand: automatic full collections of a fleet's state take 200 ms each."""
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            while True:
                await asyncio.sleep(COLLECT_S)
                started = time.perf_counter()
                gc.collect()
                self._common.metrics.garbage_pause.set(time.perf_counter() - started)
        finally:
            gc.enable()
            gc.unfreeze()

    def metrics(self) -> bytes:
        """Write the process's figures as Prometheus text."""
        return self._common.metrics.render(
            ingest=self._ingest.counters if self._ingest else {},
            heads=self._common.log.heads(),
            lags_ms=self._lags_ms(),
            feed_offset=self._common.feed.head,
            ready=self.ready()[0],
            data_taken=self._ingest.data_taken if self._ingest else True,
            owned=self._ingest.owned() if self._ingest else (),
        )


class _QuietServer(uvicorn.Server):
    """uvicorn without signal handlers: signals are the command line's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


async def _serve_all(servers: Sequence[uvicorn.Server]) -> None:
    async with asyncio.TaskGroup() as group:
        for server in servers:
            group.create_task(server.serve())


def _check_roles(settings: Settings, roles: set[Role]) -> None:
    """Make sure that parts which run apart can meet.

    Raises:
        FixConfiguration: naming the setting.

    """
    faults = []
    both = [masked(url) for url in (settings.database.log_url, settings.database.state_url)]
    shared = [url.startswith("postgresql") for url in both]
    if any(shared) and not all(shared):
        faults.append(Fault("settings", "database", "two PostgreSQL URLs, or none", str(both)))
    if roles != set(Role) and not all(shared):
        expected = "a PostgreSQL URL, like database.state_url, because roles run apart"
        faults.append(Fault("settings", "database.log_url", expected, both[0] or "none"))
    if Role.API in roles and Role.CONSUME not in roles and not settings.telemetry.url:
        expected = "InfluxDB or VictoriaMetrics, because a DuckDB file belongs to one process"
        faults.append(Fault("settings", "telemetry.url", expected, "none"))
    if faults:
        raise FixConfiguration(faults)


def lock_folder(folder: Path) -> IO[str]:
    """Keep others out of a data folder until the file is closed; StopService: one is in."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StopService(f"{folder} is in use by another process; stop that one first") from error
    return lock


def _raise_if_ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done():
            error = None if task.cancelled() else task.exception()
            raise StopService(f"part {task.get_name()} ended: {error!r}") from error


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        try:
            await task
        except Exception:
            logger.exception("part %s failed while stopping", task.get_name())
