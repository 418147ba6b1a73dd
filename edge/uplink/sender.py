"""Sends what the schedule chooses, over whatever link there is."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from edge.batches import Batch, Key
from edge.uplink.base import Link
from edge.uplink.schedule import Choice, Schedule
from protocols.clock import Clock
from protocols.envelope import wrap
from protocols.messages import Ack, ack_decoder


class Sender:
    """Runs the schedule on the event loop; all calls come from there."""

    def __init__(
        self,
        schedule: Schedule,
        *,
        clock: Clock,
        load: Callable[[Key], Awaitable[Batch | None]],
        sent_at: Callable[[Batch], int],
        heard_time: Callable[[int], None],
        changed: Callable[[], None],
    ) -> None:
        """Make a sender.

        Args:
            schedule: decides.
            clock: its time since boot.
            load: reads a batch from the spool.
            sent_at: the `sent_at` of a batch that goes out now.
            heard_time: takes the cloud's time of an ack, ms since 1970.
            changed: called when there may be something to delete or to declare.

        """
        self._schedule, self._clock, self._load = schedule, clock, load
        self._sent_at, self._heard_time, self._changed = sent_at, heard_time, changed
        self._link: Link | None = None
        self._mids: dict[int, int] = {}
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._send_all()
            if self._schedule.has_lost():
                self._changed()
            now_ms = self._clock.boot_ms()
            wake_ms = self._schedule.wake_ms(now_ms)
            timeout_s = None if wake_ms is None else max(0.001, (wake_ms - now_ms) / 1000)
            try:
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def drained(self) -> None:
        """Wait until everything new is sent and everything sent is settled."""
        while self._schedule.under_way():
            self._settled.clear()
            await self._settled.wait()

    def wake(self) -> None:
        """Look again: something was committed."""
        self._wake.set()

    def link_up(self, link: Link) -> None:
        """Begin to send over a link that is subscribed."""
        self._link = link
        self._schedule.link_up(self._clock.boot_ms())
        self.wake()

    def link_down(self) -> None:
        """Stop sending; what was not settled is sent again later."""
        self._link = None
        self._mids.clear()
        self._schedule.link_down()

    def pubacked(self, mid: int) -> None:
        """Take a PUBACK."""
        sent_no = self._mids.pop(mid, None)
        if sent_no is not None:
            self._schedule.pubacked(sent_no)
            self.wake()

    def acked(self, payload: bytes) -> None:
        """Take a message of `down/ack`; one that is no ack is counted."""
        try:
            ack: Ack = ack_decoder.decode(payload)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            self._schedule.counters["acks_refused"] += 1
            return
        self._heard_time(ack.time)
        self._schedule.acked(ack, self._clock.boot_ms())
        if self._schedule.has_settled() or self._schedule.has_lost():
            self._changed()
        self._settled.set()
        self.wake()

    async def _send_all(self) -> None:
        while (choice := self._schedule.next(self._clock.boot_ms())) is not None:
            batch = choice.batch or await self._load(choice.key)
            if batch is None:
                self._schedule.gone(choice.key)
                self._changed()
            elif self._schedule.wants(choice.key) and not self._send(choice, batch):
                return

    def _send(self, choice: Choice, batch: Batch) -> bool:
        payload = wrap(
            spool=batch.key.spool,
            seq=batch.key.seq,
            boot_id=batch.boot_id,
            clock=batch.clock,
            sent_at=self._sent_at(batch),
            records_raw=batch.records_raw,
        )
        mid = self._link.publish(f"up/{batch.key.stream}", payload) if self._link else None
        if mid is None:  # the link is going down; it will say so
            return False
        self._mids[mid] = self._schedule.sent(choice.key, len(payload), self._clock.boot_ms())
        return True
