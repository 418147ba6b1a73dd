"""The daemon: puts sources, collector, spool and uplink together, and takes them apart again."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.batches import Batch
from edge.catalog import Catalog
from edge.commands import Answer, Commands
from edge.frames import Collector, Make
from edge.identity.asking import ask
from edge.identity.files import CERTIFICATE, IdentityFolder
from edge.identity.renewal import Renewer
from edge.remote.log_tail import LogTail
from edge.remote.operations import Operations
from edge.running import Service, Sources, end
from edge.settings import Site
from edge.setup import Setup
from edge.sources.base import Emitted, Sample, Scanned, Source
from edge.sources.bus import ModbusBus
from edge.spool.base import Spool
from edge.spool.opening import open_any_spool
from edge.spool.writer import SpoolWriter
from edge.status import StatusServer
from edge.timekeeper import Timekeeper
from edge.uplink.mqtt import Events, MqttLink
from edge.uplink.schedule import Schedule
from edge.uplink.sender import Sender
from protocols.catalog.point_map import Table
from protocols.clock import Clock, boot_id
from protocols.errors import Fault, RefuseInput, StopService
from protocols.messages import State
from protocols.readings import ClockState
from protocols.records import Record, Reply, Scan, Status, Verdict
from protocols.topics import Stream

if TYPE_CHECKING:
    from edge.metrics import MetricsServer

log = logging.getLogger(__name__)

STATUS_S = 60.0
STATUS_FIRST_S = 5.0
DRAIN_S = 3.0
"""At a stop so long is waited for the acks of what was sent."""
COUNTERS_MAX = 150

PROOF_STEP_S = 0.1
PROOF_LEAST_S = 1.0
"""So long sources must have run at least before a new setup is called healthy."""

Build = Callable[[Site, Catalog], tuple[list[Source], list[Fault]]]
"""Makes the sources of a site, and a fault for each device that is set aside."""
Judge = Callable[[Scanned], Verdict | None]
"""Decides about what was scanned; None where there is nothing to decide."""
Watch = Callable[[Emitted], None]
"""Sees all that sources tell but scans, before it is recorded."""


class Agent:
    """One run of the daemon on one state folder."""

    def __init__(
        self,
        setup: Setup,
        build: Build,
        *,
        state_dir: Path,
        clock: Clock,
        rng: random.Random,
        version: str,
        password: str | None = None,
        judge: Judge | None = None,
        watch: Watch = lambda _: None,
        time_known: Callable[[int], int] = int,
    ) -> None:
        """Make a daemon; `run` starts it.

        Args:
            setup: where to send, how much to keep, what to read.
            build: makes sources.
            state_dir: folder of the spool; made if missing.
            clock: the machine's clocks.
            rng: jitter.
            version: of this software, for the fleet page.
            password: of the broker.
            judge: called at once with each scan; its verdict goes into the record.
            watch: called at once with all else that sources tell.
            time_known: corrects the last time that the spool knows, ms since 1970.

        """
        self.setup, self._build, self._folder = setup, build, state_dir
        self._clock, self._version, self._judge, self._watch = clock, version, judge, watch
        self._boot_id, self._started_ms = boot_id(), clock.boot_ms()
        self._faults, self._rates, self._acks = list(setup.faults), dict[str, float](), 0
        self._log_tail, self._changing = LogTail(), asyncio.Lock()
        self._marks = setup.marks()
        self._running = Sources(self._make_sources(setup.site, setup), take=self._take, clock=clock)
        self._spool = open_any_spool(
            state_dir,
            boot_id=self._boot_id,
            clock=clock,
            bytes_max=setup.site.spool.bytes_max,
        )
        self._timekeeper = Timekeeper(clock, known_ms=time_known(self._spool.known_time_ms()))
        self._schedule = _schedule_of(self._spool)
        self._collector = Collector(
            clock, self._timekeeper, boot_id=self._boot_id, changed=self._changed
        )
        self._writer = SpoolWriter(
            self._spool,
            drafts=self._collector,
            settlements=self._schedule,
            clock=clock,
            on_committed=self._committed,
        )
        self._sender = Sender(
            self._schedule,
            clock=clock,
            load=self._writer.load,
            sent_at=self._sent_at,
            heard_time=self._timekeeper.heard,
            changed=self._changed,
        )
        self._operations = Operations(self).by_name()
        self._commands = Commands(self._operations, timekeeper=self._timekeeper, reply=self._answer)
        self._on_config: Callable[[bytes], None] = lambda _: None
        self._link = self._make_link(rng, password)
        self._metrics: MetricsServer | None = None
        self._renewer = self._make_renewer(rng)
        self._services: list[Service] = [self._renewer] if self._renewer is not None else []

    def attach(
        self,
        service: Service,
        *,
        operations: Mapping[str, Answer] | None = None,
        on_config: Callable[[bytes], None] | None = None,
    ) -> None:
        """Let a service run beside the daemon, and take its share of what arrives; before `run`."""
        self._services.append(service)
        self._operations |= operations or {}
        self._on_config = on_config or self._on_config

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, then stop cleanly within 10 s.

        Raises:
            StopService: the spool was damaged under way; a new run salvages it.

        """
        logging.getLogger().addHandler(self._log_tail)
        server = StatusServer(self._folder, self.status)
        self._metrics = self._start_metrics()
        self._running.start()
        telling = [asyncio.create_task(self._tell_status())]
        telling += [asyncio.create_task(one.run()) for one in self._services]
        sender = asyncio.create_task(self._sender.run())
        link = asyncio.create_task(self._link.run())
        writer = asyncio.create_task(self._writer.run())
        stopping = asyncio.create_task(stop.wait())
        working = {sender, link, writer, *telling[1:]}
        try:
            await self._start_server(server)
            await asyncio.wait({*working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in working:
                if task.done():
                    task.result()
            await end(telling)
            await self._running.stop()
            await self._writer.flush()
            await self._drain()
        finally:
            await end([*telling, sender, stopping])
            await self._running.stop()
            await self._link.say_goodbye()
            await end([link, writer])
            await server.stop()
            await self._stop_metrics()
            await self._close_spool()
            logging.getLogger().removeHandler(self._log_tail)

    def status(self) -> dict[str, Any]:
        """Return everything that is known of this daemon, as plain JSON data."""
        stamp = self._timekeeper.stamp()
        return {
            "running": True,
            "gateway_id": self.setup.site.gateway_id,
            "version": self._version,
            "config_version": self.setup.version,
            "boot_id": self._boot_id,
            "uptime_s": self._uptime_s(),
            "clock": {"state": stamp.clock, "now_ms": self._timekeeper.now_ms()},
            "link": {
                "up": self._link.up,
                "broker": self.setup.site.uplink.broker,
                "why": self._link.why,
            },
            "identity": self._renewer.status() if self._renewer else None,
            "spool": {
                "id": self._spool.id,
                "in_memory": self._spool.in_memory,
                "failing": self._writer.failing,
                "bytes": self._spool.bytes_held(),
                "bytes_max": self.setup.site.spool.bytes_max,
                "losses_not_settled": self._schedule.open_losses(),
                "waiting": [
                    {"spool": spool, "stream": stream, "batches": count}
                    for (spool, stream), count in self._schedule.waiting().items()
                ],
            },
            "sources": self._running.status(),
            "faults": [str(fault) for fault in self._faults],
            "counters": self.counters(),
        }

    def counters(self) -> dict[str, int | float]:
        """Return all counters by name; those of the sources are summed."""
        counters: dict[str, int | float] = {
            "spool_bytes": self._spool.bytes_held(),
            "spool_batches": sum(self._schedule.waiting().values()),
            "spool_in_memory": int(self._spool.in_memory),
            "clock_synced": int(self._timekeeper.stamp().clock == "synced"),
            "faults": len(self._faults),
            "source_failures": self._running.failures,
        }
        for part in (self._collector, self._writer, self._schedule, self._link, self._commands):
            counters |= part.counters
        for service in self._services:
            counters |= service.counters
        for status in self._running.status().values():
            for name, value in _numbers(status.get("counters", {})):
                counters[name] = counters.get(name, 0) + value
        return dict(list(counters.items())[:COUNTERS_MAX])

    # --- what may be asked of it from afar -----------------------------------------------------

    async def apply(self, setup: Setup) -> None:
        """Make another setup take effect; only what differs is stopped and started."""
        before, self.setup = self.setup, setup
        self._rates.clear()
        self._faults = list(setup.faults)
        await self._change_sources(setup)
        self._link.tell(self._state())
        if setup.site.uplink != before.site.uplink:
            await self._link.move(setup.site.uplink)
        if setup.site.local != before.site.local:
            await self._stop_metrics()
            self._metrics = self._start_metrics()

    async def prove(self, within_s: float) -> str | None:
        """Return None once connected, heard by the cloud and without a broken source; else why."""
        failures, acks = self._running.failures, self._acks
        loop = asyncio.get_running_loop()
        began, why = loop.time(), "no_link"
        while loop.time() < began + within_s:
            await asyncio.sleep(PROOF_STEP_S)
            if self._running.failures > failures:
                return "source_broke"
            why = "no_ack" if self._link.up else "no_link"
            if self._link.up and self._acks > acks and loop.time() > began + PROOF_LEAST_S:
                return None
        return why

    def reply(self, command_id: str, *, ok: bool, result: dict[str, Any]) -> None:
        """Say something to the cloud, in stream `alarm`."""

        def make(at: int) -> Record:
            return Reply(at=at, command_id=command_id, ok=ok, result=result)

        self._collector.add_record("alarm", self._clock.boot_ms(), make)

    def record(self, stream: Stream, at_boot_ms: int, make: Make) -> None:
        """Record something; `make` gets its `at`."""
        self._collector.add_record(stream, at_boot_ms, make)

    async def commit(self, stream: Stream, at_boot_ms: int, make: Make) -> bool:
        """Record something and wait until it is on the disk; False: the disk does not take it."""
        refused = self._collector.counters["records_refused"]
        self.record(stream, at_boot_ms, make)
        return await self.flush() and self._collector.counters["records_refused"] == refused

    async def flush(self) -> bool:
        """Wait until what was recorded is on the disk; False: the disk does not take it."""
        dropped = self._writer.counters["drafts_dropped"]
        await self._writer.flush()
        kept = self._writer.counters["drafts_dropped"] == dropped
        return kept and self._writer.failing is None and not self._spool.in_memory

    def time(self) -> tuple[ClockState, int]:
        """Return whether anybody knows the time, and now: ms since 1970, or since boot."""
        return self._timekeeper.stamp().clock, self._timekeeper.now_ms()

    def cloud_ms(self) -> int:
        """Return the time, ms since 1970, or when nobody knows it the least that it can be."""
        now_ms = self._synced_ms()
        return self._timekeeper.floor_ms if now_ms is None else now_ms

    async def restart_source(self, name: str) -> None:
        """Stop a source and start it again. RefuseInput `unknown_source`."""
        async with self._changing:
            await self._running.restart(name)

    async def set_rate(self, asset: str, poll_interval_s: float | None) -> None:
        """Poll an asset at another interval, None: as its site says; see `bus_of`."""
        self.setup.bus_of(asset)
        if poll_interval_s is None:
            self._rates.pop(asset, None)
        else:
            self._rates[asset] = poll_interval_s
        await self._change_sources(self.setup.at_rates(self._rates))

    async def read_registers(self, asset: str, table: Table, address: int, count: int) -> list[int]:
        """Read one block of an asset. RefuseInput `unknown_asset`, RetryLater."""
        bus = self._running.find(self.setup.bus_of(asset))
        if not isinstance(bus, ModbusBus):
            raise RefuseInput("unknown_asset", f"{asset} is on no Modbus bus")
        return await bus.ask(asset, table, address, count)

    def log_tail(self, lines: int) -> list[str]:
        """Return the newest lines of the log, oldest first."""
        return self._log_tail.tail(lines)

    # --- inside --------------------------------------------------------------------------------

    def _make_sources(self, site: Site, setup: Setup) -> list[Source]:
        sources, set_aside = self._build(site, setup.catalog)
        for fault in set_aside:
            log.warning("set aside: %s", fault)
        self._faults += [fault for fault in set_aside if fault not in self._faults]
        return sources

    async def _change_sources(self, setup: Setup) -> None:
        """Stop and start only the sources for which something else is said now."""
        async with self._changing:
            wanted, present = setup.marks(), self._marks
            changed = frozenset(name for name in wanted if wanted[name] != present.get(name))
            gone = [name for name in present if present[name] != wanted.get(name)]
            new = self._make_sources(setup.only(changed), setup)
            await self._running.replace(gone, new)
            self._marks = wanted

    def _state(self) -> State:
        return State(
            online=True,
            boot_id=self._boot_id,
            version=self._version,
            site_sha256=self.setup.site_sha256,
        )

    def _make_link(self, rng: random.Random, password: str | None) -> MqttLink:
        events = Events(
            up=lambda: self._sender.link_up(self._link),
            down=self._sender.link_down,
            ack=self._acked,
            command=self._commands.take,
            config=lambda payload: self._on_config(payload),  # noqa: PLW0108  # attached later
            puback=self._sender.pubacked,
        )
        return MqttLink(
            self.setup.site.uplink,
            gateway_id=self.setup.site.gateway_id,
            state=self._state(),
            password=password,
            events=events,
            floor_ms=self._timekeeper.certificate_floor_ms,
            urgent=self._schedule.alarm_waits,
            rng=rng,
        )

    def _make_renewer(self, rng: random.Random) -> Renewer | None:
        """Renew the certificate of enrolment, if that is the one in use."""
        folder = IdentityFolder(self._folder)
        if self.setup.site.uplink.cert_file != folder.file(CERTIFICATE):
            return None
        return Renewer(
            folder,
            now_ms=self._synced_ms,
            told_expired=lambda: self._link.certificate_expired,
            renewed=self._link.reconnect,
            ask=ask,
            rng=rng,
        )

    def _synced_ms(self) -> int | None:
        """Return the time since 1970, None while nobody knows it."""
        synced = self._timekeeper.stamp().clock == "synced"
        return self._timekeeper.now_ms() if synced else None

    def _changed(self) -> None:
        self._writer.changed()

    def _committed(self) -> None:
        self._sender.wake()

    def _sent_at(self, batch: Batch) -> int:
        """Return the `sent_at` of a batch that goes out now, in the batch's own clock."""
        if batch.clock == "free":
            own = batch.boot_id == self._boot_id
            return self._clock.boot_ms() if own else batch.to_at
        synced = self._timekeeper.stamp().clock == "synced"
        return self._timekeeper.now_ms() if synced else max(batch.to_at, self._timekeeper.floor_ms)

    def _acked(self, payload: bytes) -> None:
        self._acks += 1
        self._sender.acked(payload)

    def _answer(self, command_id: str, ok: bool, result: dict[str, Any]) -> None:
        self.reply(command_id, ok=ok, result=result)

    def _take(self, told: Emitted) -> None:
        if not isinstance(told, Scanned):
            self._watch(told)
            if isinstance(told, Sample):
                self._collector.add(told)
            return
        verdict = self._judge(told) if self._judge else None

        def make(at: int) -> Record:
            return Scan(
                reader=told.reader,
                at=at,
                codes=list(told.codes),
                step=told.step,
                verdict=verdict,
                rssi_dbm=told.rssi_dbm,
                findings=list(told.findings),
            )

        self._collector.add_record("data", told.at_boot_ms, make)

    async def _tell_status(self) -> None:
        wait_s = STATUS_FIRST_S
        while True:
            await asyncio.sleep(wait_s)
            wait_s = STATUS_S
            self._collector.add_record("data", self._clock.boot_ms(), self._status_record)

    def _status_record(self, at: int) -> Record:
        return Status(at=at, uptime_s=self._uptime_s(), counters=self.counters())

    def _uptime_s(self) -> float:
        return (self._clock.boot_ms() - self._started_ms) / 1000

    def _start_metrics(self) -> "MetricsServer | None":
        address = self.setup.site.local.metrics_address
        if address is None:
            return None
        from edge.metrics import MetricsServer  # noqa: PLC0415  # 4 MB that most can spare

        server = MetricsServer(*address, self.status)
        try:
            server.start()
        except OSError as error:
            log.warning("no metrics page on %s: %s", self.setup.site.local.metrics, error)
        return server

    async def _stop_metrics(self) -> None:
        if self._metrics is not None:
            await self._metrics.stop()
            self._metrics = None

    async def _start_server(self, server: StatusServer) -> None:
        try:
            await server.start()
        except OSError as error:
            log.warning("no status socket: %s", error)

    async def _drain(self) -> None:
        """Give what was just committed the time to be sent and settled."""
        if not self._link.up:
            return
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._sender.drained()
        except TimeoutError:
            log.info("not all was acknowledged; the next start sends it again")

    async def _close_spool(self) -> None:
        try:
            await self._writer.flush()
        except StopService as error:
            log.warning("%s", error)
        await self._writer.close()


def _schedule_of(spool: Spool) -> Schedule:
    return Schedule(
        spool.id, held=spool.held(), last_seqs=spool.last_seqs(), declared=spool.declared()
    )


def _numbers(counters: object) -> Iterator[tuple[str, int | float]]:
    if isinstance(counters, Mapping):
        for name, value in counters.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield str(name), value
