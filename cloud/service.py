"""The composition root of the cloud: builds every stage, starts them, stops them in order."""

import asyncio
import contextlib
import fcntl
import gc
import logging
import random
import shutil
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
import uvicorn

from cloud.access.book import AccessBook
from cloud.alarms.desk import AlarmDesk
from cloud.api.app import create_app
from cloud.api.base import Services
from cloud.feed.sse import stream
from cloud.feed.store import FeedStore
from cloud.ingest.gate import Room, RoomLimits, data_taken
from cloud.ingest.ingester import Ingester
from cloud.ingest.subscriber import BrokerAddress, Subscriber
from cloud.log.store import LogStore, insert_dead_letters
from cloud.metrics import Metrics
from cloud.migrations import migrate
from cloud.model.database import Database
from cloud.model.dead_letter import DeadLetter
from cloud.model.logged import LoggedBatch, LogGroup
from cloud.registry.assets import AssetRegistry
from cloud.registry.gateways import GatewayBook
from cloud.rules.consumer import RulesConsumer
from cloud.rules.load import load_rules
from cloud.settings import Settings
from cloud.telemetry.consumer import TelemetryConsumer
from cloud.telemetry.open import open_store
from cloud.web import pages
from protocols.clock import Clock, SystemClock
from protocols.errors import RefuseInput, StopService
from protocols.messages import state_decoder
from protocols.topics import parse

logger = logging.getLogger("suyuan.cloud")

HOUSEKEEPING_S = 1.0
TRIM_S = 600.0
COLLECT_S = 600.0
STOP_S = 8.0
DAY_MS = 24 * 3600 * 1000
SERVICE_ASSET = "service:cloud"


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
        clock: Clock | None = None,
    ) -> None:
        self._data, self._http, self._settings = data, http, settings
        self._clock = clock or SystemClock()
        self._rng = random.Random()  # noqa: S311 - jitter, no secret
        self._lock = _lock_folder(data)
        self._log_db = _open(settings.database.log_url, data / "log.db", "log")
        self._state_db = _open(settings.database.state_url, data / "state.db", "state")
        self._stopping = asyncio.Event()
        self._subscribed = False
        self._metrics = Metrics()
        self._build_stages(broker)
        self._access = AccessBook(self._state_db, self._clock, admin_token=admin_token, data=data)

    def _build_stages(self, broker: BrokerAddress) -> None:
        clock, state_db = self._clock, self._state_db
        self._log = LogStore(self._log_db)
        self._registry = AssetRegistry(state_db, clock)
        self._gateways = GatewayBook(state_db)
        self._feed = FeedStore(state_db, clock)
        self._desk = AlarmDesk(
            database=state_db,
            clock=clock,
            append_feed=self._feed.append,
            on_commit=self._feed.committed,
        )
        overlay = self._settings.rules_overlay
        self._rules = RulesConsumer(
            log=self._log,
            database=state_db,
            rules=load_rules(Path(overlay) if overlay else None),
            clock=clock,
            apply=self._desk.apply,
            dead_letter=self._dead_letter("rules"),
            on_commit=self._feed.committed,
        )
        self._store = open_store(
            self._settings.telemetry.url,
            folder=self._data / "telemetry",
            clock=clock,
            retention_days=self._settings.telemetry.retention_days,
            memory_limit_mb=self._settings.telemetry.memory_limit_mb,
        )
        self._telemetry = TelemetryConsumer(
            log=self._log,
            store=self._store,
            clock=clock,
            dead_letter=self._dead_letter("telemetry"),
        )
        self._subscriber = Subscriber(
            broker, on_message=self._on_message, on_change=self._broker_changed, rng=self._rng
        )
        self._ingester = Ingester(
            database=self._log_db,
            log=self._log,
            keep_dead=insert_dead_letters,
            clock=clock,
            admit=self._registry.admits,
            boot_of=self._gateways.boot_of,
            on_status=lambda gateway, status: self._gateways.set_counters(gateway, status.counters),
            on_committed=self._committed,
            send_ack=self._subscriber.send_ack,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set.

        Raises:
            StopService: a stage ended that must not.

        """
        await self._load()
        server = _QuietServer(self._http_config())
        parts: dict[str, Coroutine[Any, Any, None]] = {
            "http": server.serve(),
            "rules": self._rules.run(),
            "telemetry": self._telemetry.run(),
            "housekeeping": self._keep_house(),
            "garbage": self._collect_garbage(),
        }
        tasks = [asyncio.create_task(part, name=name) for name, part in parts.items()]
        ingest = asyncio.create_task(self._ingester.run(), name="ingest")
        subscribe = asyncio.create_task(self._subscriber.run(), name="subscribe")
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait(
                [*tasks, ingest, subscribe, stopped], return_when=asyncio.FIRST_COMPLETED
            )
            _raise_if_ended([*tasks, ingest, subscribe])
        finally:
            self._stopping.set()
            server.should_exit = True
            await _cancel(subscribe)
            await _cancel(ingest)
            await self._finish(tasks)

    async def _load(self) -> None:
        await self._registry.load()
        await self._gateways.load()
        await self._feed.load()
        await self._access.load()
        await self._rules.start()
        await self._telemetry.start()

    async def _finish(self, tasks: list[asyncio.Task[None]]) -> None:
        http, *others = tasks
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S / 2):
                await asyncio.wait([http])
        for task in [http, *others]:
            await _cancel(task)
        await self._telemetry.stop()
        await self._registry.flush()
        await self._gateways.flush()
        self._store.close()
        self._log_db.close()
        self._state_db.close()
        self._lock.close()

    def _http_config(self) -> uvicorn.Config:
        host, port = self._http
        tls = self._settings.tls
        return uvicorn.Config(
            create_app(self._services()),
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
            ssl_certfile=tls.cert_file or None,
            ssl_keyfile=tls.key_file or None,
        )

    def _services(self) -> Services:
        return Services(
            registry=self._registry,
            gateways=self._gateways,
            ledger=self._ledger,
            alarms=self._desk,
            feed=self._feed,
            stream=lambda after: stream(
                self._feed, after=after, lag_ms=self._rules_lag_ms, stopping=self._stopping
            ),
            telemetry=self._store,
            latest=self._rules.latest,
            assets_of=self._rules.assets_of,
            ready=self._ready,
            metrics=self._render_metrics,
            access=self._access,
            clock=self._clock,
            base_url=self._settings.base_url,
            language=self._settings.language,
            time_zone=self._settings.time_zone,
            stopping=self._stopping,
            mounts=(pages.mount,),
        )

    def _on_message(self, topic: str, payload: bytes) -> None:
        now_ms = self._clock.wall_ms()
        try:
            parsed = parse(topic)
        except RefuseInput:
            self._ingester.accept(topic, payload)  # which keeps it as a dead letter
            return
        self._gateways.heard(parsed.gateway_id, now_ms)
        if parsed.leaf == "state":
            self._on_state(parsed.gateway_id, payload, now_ms)
        else:
            self._ingester.accept(topic, payload)

    def _on_state(self, gateway: str, payload: bytes, now_ms: int) -> None:
        try:
            state = state_decoder.decode(payload)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            self._metrics.bad_states.inc()
            return
        if self._gateways.set_state(gateway, state, now_ms):
            self._ingester.inject(f"gateway:{gateway}", {"online": [state.online]}, gateway=gateway)
        if state.online:
            self._ingester.greet(gateway)

    def _broker_changed(self) -> None:
        ready, why = self._subscriber.ready()
        if ready == self._subscribed:  # one of the two connections alone changes nothing
            return
        self._subscribed = ready
        logger.info("broker: %s", "subscribed" if ready else why)
        self._ingester.inject(SERVICE_ASSET, {"broker_connected": [ready]}, gateway="cloud")

    def _committed(self) -> None:
        self._rules.wake()
        self._telemetry.wake()

    async def _ledger(self, gateway: str) -> Any:
        return self._ingester.ledger(gateway)

    def _ready(self) -> tuple[bool, str]:
        ready, why = self._subscriber.ready()
        if self._ingester.commit_failing:
            return False, f"the log cannot be written: {self._ingester.commit_failing}"
        return ready, why

    def _rules_lag_ms(self) -> int:
        return self._rules.lag_ms(self._clock.wall_ms())

    def _dead_letter(self, consumer: str) -> Callable[[LogGroup, LoggedBatch, int, str], None]:
        def keep(group: LogGroup, batch: LoggedBatch, index: int, reason: str) -> None:
            letter = DeadLetter(
                received_at=self._clock.wall_ms(),
                consumer=consumer,
                topic=f"{group.partition} {group.position}",
                reason="consumer_failed",
                detail=reason,
                body=batch.records_raw,
                gateway=batch.gateway,
                spool=batch.spool,
                stream=batch.stream,
                seq=batch.seq,
                record_index=index,
            )
            self._log_db.write_now(lambda c: insert_dead_letters(c, [letter]))

        return keep

    async def _keep_house(self) -> None:
        limits = RoomLimits(
            disk_free_bytes_min=self._settings.log.disk_free_mb_min * 1024 * 1024,
            consumer_lag_ms_max=self._settings.log.consumer_lag_hours_max * 3600 * 1000,
        )
        trimmed = time.monotonic()
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            await self._registry.flush()
            await self._gateways.flush()
            self._mind_room(limits)
            if time.monotonic() - trimmed > TRIM_S:
                trimmed = time.monotonic()
                await self._trim()

    def _mind_room(self, limits: RoomLimits) -> None:
        now_ms = self._clock.wall_ms()
        room = Room(
            disk_free_bytes=shutil.disk_usage(self._data).free,
            consumer_lag_ms=max(self._rules.lag_ms(now_ms), self._telemetry.lag_ms(now_ms)),
        )
        taken = data_taken(room, limits, before=self._ingester.data_taken)
        if taken != self._ingester.data_taken:
            self._ingester.data_taken = taken
            logger.warning("stream data is %s: %s", "taken again" if taken else "refused", room)
            self._ingester.inject(SERVICE_ASSET, {"data_taken": [taken]}, gateway="cloud")

    async def _trim(self) -> None:
        now_ms = self._clock.wall_ms()
        passed = [self._rules.positions(), self._telemetry.positions()]
        await self._log.trim(now_ms - self._settings.log.retention_days * DAY_MS, passed)
        await self._feed.trim(now_ms - self._settings.feed.retention_days * DAY_MS)
        retention_ms = self._settings.telemetry.retention_days * DAY_MS
        await asyncio.to_thread(self._store.drop_before, now_ms - retention_ms)

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
                self._metrics.garbage_pause.set(time.perf_counter() - started)
        finally:
            gc.enable()
            gc.unfreeze()

    def _render_metrics(self) -> bytes:
        now_ms = self._clock.wall_ms()
        return self._metrics.render(
            ingest=self._ingester.counters,
            heads=self._log.heads(),
            lags_ms={
                "rules": self._rules.lag_ms(now_ms),
                "telemetry": self._telemetry.lag_ms(now_ms),
            },
            feed_offset=self._feed.head,
            ready=self._ready()[0],
            data_taken=self._ingester.data_taken,
        )


class _QuietServer(uvicorn.Server):
    """uvicorn without signal handlers: signals are the command line's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def _open(url: str, file: Path, name: str) -> Database:
    database = Database(url or f"sqlite:///{file}", name=name)
    migrate(database.engine, name)
    return database


def _lock_folder(folder: Path) -> IO[str]:
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
