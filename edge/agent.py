"""The daemon: puts sources, collector, spool and uplink together, and takes them apart again."""

import asyncio
import fcntl
import logging
import random
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.batches import Batch
from edge.commands import Commands
from edge.frames import Collector, Make
from edge.identity.asking import ask
from edge.identity.files import CERTIFICATE, IdentityFolder
from edge.identity.renewal import Renewer
from edge.settings import Site
from edge.sources.base import Sample, Scanned, Source
from edge.spool.memory import MemorySpool
from edge.spool.salvage import open_spool
from edge.spool.sqlite import SqliteSpool
from edge.spool.standby import StandbySpool
from edge.spool.writer import SpoolWriter
from edge.status import StatusServer
from edge.timekeeper import Timekeeper
from edge.uplink.mqtt import Events, MqttLink
from edge.uplink.schedule import Schedule
from edge.uplink.sender import Sender
from protocols.clock import Clock, boot_id
from protocols.errors import Fault, StopService
from protocols.messages import State
from protocols.records import Record, Scan, Status, Verdict

if TYPE_CHECKING:
    from edge.metrics import MetricsServer

log = logging.getLogger(__name__)

STATUS_S = 60.0
STATUS_FIRST_S = 5.0
RESTART_FIRST_S = 1.0
RESTART_MAX_S = 60.0
DRAIN_S = 3.0
"""At a stop so long is waited for the acks of what was sent."""
MEMORY_SPOOL_BYTES = 8 * 1024 * 1024
LOCK = "lock"
COUNTERS_MAX = 150

Judge = Callable[[Scanned], Verdict | None]
"""Decides about what was scanned; None where there is nothing to decide."""


class Agent:
    """One run of the daemon on one state folder."""

    def __init__(
        self,
        site: Site,
        sources: Sequence[Source],
        *,
        state_dir: Path,
        clock: Clock,
        rng: random.Random,
        version: str,
        site_sha256: str,
        password: str | None = None,
        faults: Sequence[Fault] = (),
        judge: Judge | None = None,
    ) -> None:
        """Make a daemon; `run` starts it.

        Args:
            site: where to send and how much to keep.
            sources: what to read.
            state_dir: folder of the spool; made if missing.
            clock: the machine's clocks.
            rng: jitter.
            version: of this software, for the fleet page.
            site_sha256: of the site file, for the fleet page.
            password: of the broker.
            faults: what was set aside, for `status`.
            judge: called at once with each scan; its verdict goes into the record.

        """
        self._site, self._sources, self._folder = site, sources, state_dir
        self._clock, self._faults, self._version = clock, faults, version
        self._judge = judge
        self._boot_id = boot_id()
        self._started_ms = clock.boot_ms()
        self._source_failures = dict.fromkeys((source.name for source in sources), 0)
        self._spool = StandbySpool(disk=self._open_disk, memory=self._open_memory, clock=clock)
        self._timekeeper = Timekeeper(clock, known_ms=self._spool.known_time_ms())
        self._schedule = Schedule(
            self._spool.id,
            held=self._spool.held(),
            last_seqs=self._spool.last_seqs(),
            declared=self._spool.declared(),
        )
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
        self._commands = Commands(
            {"ping": lambda _: {}}, timekeeper=self._timekeeper, reply=self._reply
        )
        self._link = self._make_link(rng, password, site_sha256)
        self._renewer = self._make_renewer(rng)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, then stop cleanly within 10 s.

        Raises:
            StopService: the spool was damaged under way; a new run salvages it.

        """
        server = StatusServer(self._folder, self.status)
        metrics = self._start_metrics()
        sources = [asyncio.create_task(self._keep_reading(one)) for one in self._sources]
        sources.append(asyncio.create_task(self._tell_status()))
        if self._renewer is not None:
            sources.append(asyncio.create_task(self._renewer.run()))
        sender = asyncio.create_task(self._sender.run())
        link = asyncio.create_task(self._link.run())
        writer = asyncio.create_task(self._writer.run())
        stopping = asyncio.create_task(stop.wait())
        working = {sender, link, writer}
        try:
            await self._start_server(server)
            await asyncio.wait({*working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in working:
                if task.done():
                    task.result()
            await _end(sources)
            await self._writer.flush()
            await self._drain()
        finally:
            await _end([*sources, sender, stopping])
            await self._link.say_goodbye()
            await _end([link, writer])
            await server.stop()
            if metrics is not None:
                await metrics.stop()
            await self._close_spool()

    def status(self) -> dict[str, Any]:
        """Return everything that is known of this daemon, as plain JSON data."""
        stamp = self._timekeeper.stamp()
        return {
            "running": True,
            "gateway_id": self._site.gateway_id,
            "version": self._version,
            "boot_id": self._boot_id,
            "uptime_s": self._uptime_s(),
            "clock": {"state": stamp.clock, "now_ms": self._timekeeper.now_ms()},
            "link": {
                "up": self._link.up,
                "broker": self._site.uplink.broker,
                "why": self._link.why,
            },
            "identity": self._renewer.status() if self._renewer else None,
            "spool": {
                "id": self._spool.id,
                "in_memory": self._spool.in_memory,
                "failing": self._writer.failing,
                "bytes": self._spool.bytes_held(),
                "bytes_max": self._site.spool.bytes_max,
                "losses_not_settled": self._schedule.open_losses(),
                "waiting": [
                    {"spool": spool, "stream": stream, "batches": count}
                    for (spool, stream), count in self._schedule.waiting().items()
                ],
            },
            "sources": {source.name: source.status() for source in self._sources},
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
            "source_failures": sum(self._source_failures.values()),
        }
        for part in (self._collector, self._writer, self._schedule, self._link, self._commands):
            counters |= part.counters
        if self._renewer is not None:
            counters |= self._renewer.counters
        for source in self._sources:
            for name, value in _numbers(source.status().get("counters", {})):
                counters[name] = counters.get(name, 0) + value
        return dict(list(counters.items())[:COUNTERS_MAX])

    def _open_disk(self) -> SqliteSpool:
        return open_spool(
            self._folder,
            spool_id=uuid.uuid4().hex,
            boot_id=self._boot_id,
            clock=self._clock,
            bytes_max=self._site.spool.bytes_max,
        )

    def _open_memory(self) -> MemorySpool:
        return MemorySpool(
            spool_id=uuid.uuid4().hex,
            boot_id=self._boot_id,
            clock=self._clock,
            bytes_max=MEMORY_SPOOL_BYTES,
        )

    def _make_link(self, rng: random.Random, password: str | None, site_sha256: str) -> MqttLink:
        state = State(
            online=True, boot_id=self._boot_id, version=self._version, site_sha256=site_sha256
        )
        events = Events(
            up=lambda: self._sender.link_up(self._link),
            down=self._sender.link_down,
            ack=self._sender.acked,
            command=self._commands.take,
            puback=self._sender.pubacked,
        )
        return MqttLink(
            self._site.uplink,
            gateway_id=self._site.gateway_id,
            state=state,
            password=password,
            events=events,
            floor_ms=self._timekeeper.certificate_floor_ms,
            urgent=self._schedule.alarm_waits,
            rng=rng,
        )

    def _make_renewer(self, rng: random.Random) -> Renewer | None:
        """Renew the certificate of enrolment, if that is the one in use."""
        folder = IdentityFolder(self._folder)
        if self._site.uplink.cert_file != folder.file(CERTIFICATE):
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

    def _reply(self, make: Make) -> None:
        self._collector.add_record("alarm", self._clock.boot_ms(), make)

    async def _keep_reading(self, source: Source) -> None:
        """Run a source; one that breaks is started again, ever more rarely."""
        wait_s = RESTART_FIRST_S
        while True:
            began_ms = self._clock.boot_ms()
            try:
                await source.run(self._take)
                reason = "it ended"
            except Exception as error:  # the other sources must go on whatever one of them does
                log.exception("source %s broke", source.name)
                reason = repr(error)
            if self._clock.boot_ms() - began_ms > RESTART_MAX_S * 1000:
                wait_s = RESTART_FIRST_S
            self._source_failures[source.name] += 1
            log.warning("source %s starts again in %g s: %s", source.name, wait_s, reason)
            await asyncio.sleep(wait_s)
            wait_s = min(RESTART_MAX_S, 2 * wait_s)

    def _take(self, told: Sample | Scanned) -> None:
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
        address = self._site.local.metrics_address
        if address is None:
            return None
        from edge.metrics import MetricsServer  # noqa: PLC0415  # 4 MB that most can spare

        server = MetricsServer(*address, self.status)
        try:
            server.start()
        except OSError as error:
            log.warning("no metrics page on %s: %s", self._site.local.metrics, error)
        return server

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


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a state folder for this process; made if missing.

    A card that takes nothing, not even the lock, keeps no gateway from starting.

    Raises:
        StopService: another daemon holds it.

    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((folder / LOCK).open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StopService(f"another gateway daemon runs on {folder}") from None
        except OSError as error:
            log.warning("no lock on %s: %s", folder, error)
        yield


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for them; some libraries swallow a cancellation, so insist."""
    waiting = {task for task in tasks if not task.done()}
    for _ in range(10):
        for task in waiting:
            task.cancel()
        if not waiting:
            return
        _, waiting = await asyncio.wait(waiting, timeout=0.3)


def _numbers(counters: object) -> Iterator[tuple[str, int | float]]:
    if isinstance(counters, Mapping):
        for name, value in counters.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield str(name), value
