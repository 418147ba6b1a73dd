"""Gateways made by hand that speak the wire contract: a load whose truth is known exactly.

Each batch carries one reading whose value is its own number, so that what the cloud stored can be
compared one by one. Batches leave out of order, a fifth of them twice, and again until an ack
covers them; nothing is forgotten before.
"""

import random
import threading
import time

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from protocols.envelope import wrap
from protocols.messages import ack_decoder
from protocols.ranges import RangeSet
from protocols.records import Readings, encode_records
from protocols.topics import of

RESEND_S = 3.0
BURST = 20


class HandGateway:
    """One gateway with one asset and one spool; thread-safe by one lock of the fleet."""

    def __init__(self, number: int, rng: random.Random) -> None:
        self.id = f"gw-hand-{number:03d}"
        self.asset = f"elevator:HAND{number:05d}"
        self.spool = f"{rng.getrandbits(128):032x}"
        self.produced = 0
        self.settled = RangeSet()
        self.sent_at: dict[int, float] = {}
        self.at: dict[int, int] = {}
        self._last_at = 0

    def payload(self, seq: int, now_ms: int) -> bytes:
        """Return the batch `seq`, the same records each time."""
        if seq not in self.at:  # a reading is (asset, point, at): no two share a millisecond
            self._last_at = self.at[seq] = max(now_ms, self._last_at + 1)
        at = self.at[seq]
        record = Readings(asset=self.asset, at=[at], values={"total_running_time": [seq]})
        return wrap(
            spool=self.spool,
            seq=seq,
            boot_id="hand",
            clock="synced",
            sent_at=now_ms,
            records_raw=encode_records([record]),
        )

    def due(self, now: float) -> list[int]:
        """List seqs that are not settled and were not sent lately."""
        return [
            seq
            for low, high in self.settled.missing(1, self.produced)
            for seq in range(low, high + 1)
            if now - self.sent_at.get(seq, 0) > RESEND_S
        ]


class HandFleet:
    """Many such gateways on one connection, driven by a thread of its own."""

    def __init__(self, count: int, port: int, *, batches_per_s: float, seed: int) -> None:
        self._rng = random.Random(seed)
        self.gateways = [HandGateway(n, self._rng) for n in range(count)]
        self._by_id = {one.id: one for one in self.gateways}
        self._port, self._pause_s = port, BURST / batches_per_s
        self._lock, self._stop, self._producing = threading.Lock(), threading.Event(), True
        self._thread = threading.Thread(target=self._run, name="hand-fleet", daemon=True)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="hand-fleet")
        self._client.reconnect_delay_set(1, 2)
        self._client.on_connect = lambda c, *_: c.subscribe("suyuan/v1/+/+/down/ack", 0)
        self._client.on_message = self._on_ack
        self.deaf = False
        """True: acks are lost on the way."""

    def start(self) -> None:
        """Begin to produce."""
        self._client.connect_async("127.0.0.1", self._port, 10)
        self._client.loop_start()
        self._thread.start()

    def finish(self, timeout_s: float) -> int:
        """Stop producing, wait until all is settled; return how many batches are not."""
        self._producing = False
        deadline = time.monotonic() + timeout_s
        while self.unsettled() and time.monotonic() < deadline:
            time.sleep(0.2)
        self._stop.set()
        self._thread.join(10)
        self._client.disconnect()
        self._client.loop_stop()
        return self.unsettled()

    def unsettled(self) -> int:
        """Count batches that no ack covers yet."""
        with self._lock:
            return sum(one.produced - one.settled.count() for one in self.gateways)

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                batches = self._next_burst()
            for gateway, payload in batches:
                self._client.publish(of(gateway, "up/data"), payload, 1)
            self._stop.wait(self._pause_s)

    def _next_burst(self) -> list[tuple[str, bytes]]:
        now, now_ms = time.monotonic(), time.time_ns() // 1_000_000
        chosen: list[tuple[HandGateway, int]] = []
        if self._client.is_connected():
            due = [(one, seq) for one in self.gateways for seq in one.due(now)]
            chosen = self._rng.sample(due, min(len(due), 3 * BURST))
        for _ in range(BURST if self._producing else 0):
            gateway = self._rng.choice(self.gateways)
            gateway.produced += 1
            if self._rng.random() < 0.6:  # the rest comes later, out of order
                chosen.append((gateway, gateway.produced))
        self._rng.shuffle(chosen)
        burst = []
        for gateway, seq in chosen:
            gateway.sent_at[seq] = now
            times = 2 if self._rng.random() < 0.2 else 1
            burst += [(gateway.id, gateway.payload(seq, now_ms))] * times
        return burst

    def _on_ack(self, _client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        gateway = self._by_id.get(message.topic.split("/")[3])
        if gateway is None or self.deaf:
            return
        try:
            ack = ack_decoder.decode(message.payload)
        except msgspec.DecodeError:
            return
        with self._lock:
            if ack.spool == gateway.spool and ack.stream == "data":
                gateway.settled.add(1, ack.through)
                for low, high in ack.received:
                    gateway.settled.add(low, high)
