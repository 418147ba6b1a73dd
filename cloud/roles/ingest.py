"""The ingesting part: hears gateways, settles their batches, knows who is online."""

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable, Collection, Coroutine
from typing import Any

import msgspec

from cloud.ingest.gate import Room, RoomLimits, data_taken
from cloud.ingest.ingester import SERVICE, Ingester
from cloud.ingest.keeper import ShardKeeper
from cloud.ingest.subscriber import BrokerAddress, Subscriber
from cloud.log.store import insert_dead_letters
from cloud.model.ledger import SpoolLedger
from cloud.platforms.inbox import PlatformInbox
from cloud.remote.outbox import Outbox
from cloud.roles.common import Common
from protocols.errors import RefuseInput, RetryLater
from protocols.messages import Ack, state_decoder
from protocols.topics import parse

logger = logging.getLogger("suyuan.cloud")

SERVICE_ASSET = "service:cloud"
OUTBOX_S = 1.0
INBOX_S = 0.5


class IngestRole:
    """Broker to log; `consumer_lag_ms` tells how far the slowest consumer is behind."""

    def __init__(
        self, common: Common, broker: BrokerAddress, consumer_lag_ms: Callable[[], int]
    ) -> None:
        self._common, self._consumer_lag_ms = common, consumer_lag_ms
        self._subscribed = False
        self._limits = RoomLimits(
            disk_free_bytes_min=common.settings.log.disk_free_mb_min * 1024 * 1024,
            consumer_lag_ms_max=common.settings.log.consumer_lag_hours_max * 3600 * 1000,
        )
        # these three know each other; what the keeper does is looked up when it is called
        self._subscriber = Subscriber(
            broker,
            on_message=lambda topic, payload: self._keeper.take(topic, payload),  # noqa: PLW0108
            on_change=self._broker_changed,
            rng=common.rng,
        )
        gateways = common.gateways
        self._ingester = Ingester(
            database=common.log_db,
            log=common.log,
            keep_dead=insert_dead_letters,
            clock=common.clock,
            admit=common.registry.admits,
            boot_of=gateways.boot_of,
            on_status=lambda gateway, status: gateways.set_counters(gateway, status.counters),
            on_committed=common.log_grew,
            send_ack=self._send_ack,
            shards=common.shards,
            on_let_go=lambda groups: self._keeper.part_with(groups),  # noqa: PLW0108
        )
        self._keeper = ShardKeeper(
            database=common.log_db,
            shards=common.shards,
            name=common.name,
            ingester=self._ingester,
            subscriber=self._subscriber,
            deliver=self._deliver,
            on_owned=self._owned,
            on_let_go=self._let_go,
        )

        self._outbox = Outbox(
            common.state_db,
            common.clock,
            publish=self._subscriber.send,
            owns=lambda gateway: common.shards.of_gateway(gateway) in self._ingester.owned(),
            online=lambda gateway: bool((known := gateways.get(gateway)) and known.online),
        )
        self._inbox = PlatformInbox(
            common.state_db,
            common.clock,
            owns=lambda gateway: common.shards.of_gateway(gateway) in self._ingester.owned(),
            accept=self._ingester.accept,
        )
        self._to_drain = asyncio.Event()
        common.on_inbox.append(self._to_drain.set)
        self._to_send = asyncio.Event()
        common.remote.on_change = self._to_send.set

    async def start(self) -> None:
        """Take what there is to own."""
        await self._keeper.start()

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what runs until the process stops."""
        return {
            "ownership": self._keeper.run(),
            "outbox": self._send_orders(),
            "platforms": self._drain_inbox(),
        }

    async def run(self) -> None:
        """Hear and settle until cancelled; what was heard by then is committed."""
        ingest = asyncio.create_task(self._ingester.run(), name="ingest")
        subscribe = asyncio.create_task(self._subscriber.run(), name="subscribe")
        try:
            await asyncio.wait([ingest, subscribe], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (subscribe, ingest):
                task.cancel()
                await asyncio.wait([task])
            with contextlib.suppress(RetryLater):  # then the others see that it is silent
                await self._keeper.stop()
        for task in (subscribe, ingest):
            task.result()

    def ready(self) -> tuple[bool, str]:
        """Tell whether every owned shard is heard and settled, and if not, why."""
        if self._ingester.commit_failing:
            return False, f"the log cannot be written: {self._ingester.commit_failing}"
        if not self._keeper.settled:
            return False, "not known yet which shards to own"
        return self._subscriber.ready()

    @property
    def counters(self) -> dict[str, int]:
        """What the ingester met, by outcome."""
        return self._ingester.counters

    @property
    def data_taken(self) -> bool:
        """Whether stream `data` is taken."""
        return self._ingester.data_taken

    def owned(self) -> list[str]:
        """Return the names of the shard groups that are owned."""
        return sorted(self._ingester.owned())

    def ledger(self, gateway: str) -> list[SpoolLedger] | None:
        """Return the account of a gateway; None: another process keeps it."""
        if self._common.shards.of_gateway(gateway) not in self._ingester.owned():
            return None
        return self._ingester.ledger(gateway)

    async def keep_house(self) -> None:
        """See whether there is room for `data`; about once a second."""
        room = Room(
            disk_free_bytes=shutil.disk_usage(self._common.data).free,
            consumer_lag_ms=self._consumer_lag_ms(),
        )
        taken = data_taken(room, self._limits, before=self._ingester.data_taken)
        if taken != self._ingester.data_taken:
            self._ingester.data_taken = taken
            logger.warning("stream data is %s: %s", "taken again" if taken else "refused", room)
            self._ingester.inject(SERVICE_ASSET, {"data_taken": [taken]}, gateway=SERVICE)

    async def _send_orders(self) -> None:
        """Publish what waits for gateways: at once, or OUTBOX_S after another process asked."""
        while True:
            self._to_send.clear()
            if self._subscribed:
                with contextlib.suppress(RetryLater):  # the database is away
                    await self._outbox.send()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(OUTBOX_S):
                    await self._to_send.wait()

    async def _drain_inbox(self) -> None:
        """Hand over what platforms sent: at once, or INBOX_S after another process took it."""
        while True:
            self._to_drain.clear()
            with contextlib.suppress(RetryLater):  # the database is away
                while await self._inbox.drain():
                    pass
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INBOX_S):
                    await self._to_drain.wait()

    def _send_ack(self, gateway: str, ack: Ack) -> None:
        if self._inbox.settled(gateway, ack):
            self._to_drain.set()
        else:
            self._subscriber.send_ack(gateway, ack)

    def _deliver(self, topic: str, payload: bytes) -> None:
        now_ms = self._common.clock.wall_ms()
        try:
            parsed = parse(topic)
        except RefuseInput:
            self._ingester.accept(topic, payload)  # which keeps it as a dead letter
            return
        self._common.gateways.heard(parsed.gateway_id, now_ms)
        if parsed.leaf == "state":
            self._on_state(parsed.gateway_id, payload, now_ms)
        else:
            self._ingester.accept(topic, payload)

    def _on_state(self, gateway: str, payload: bytes, now_ms: int) -> None:
        try:
            state = state_decoder.decode(payload)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            self._common.metrics.bad_states.inc()
            return
        if self._common.gateways.set_state(gateway, state, now_ms):
            self._ingester.inject(f"gateway:{gateway}", {"online": [state.online]}, gateway=gateway)
        if state.online:
            self._ingester.greet(gateway)
            self._to_send.set()

    def _broker_changed(self) -> None:
        ready, why = self._subscriber.ready()
        if ready == self._subscribed:  # one of the two connections alone changes nothing
            return
        self._subscribed = ready
        if ready:
            self._outbox.broker_is_new()
            self._to_send.set()
        logger.info("broker: %s", "subscribed" if ready else why)
        self._tell_of_broker()

    def _tell_of_broker(self) -> None:
        values = {"broker_connected": [self._subscribed]}
        self._ingester.inject(SERVICE_ASSET, values, gateway=SERVICE)

    async def _owned(self, group: str) -> None:
        if not self._common.alone:
            await self._common.gateways.reload(self._in({group}))
            if self._subscribed:  # what an ingester that is gone said of its broker is out of date
                self._tell_of_broker()

    def _let_go(self, groups: Collection[str]) -> None:
        self._common.gateways.leave(self._in(groups))

    def _in(self, groups: Collection[str]) -> Callable[[str], bool]:
        return lambda gateway: self._common.shards.of_gateway(gateway) in groups
