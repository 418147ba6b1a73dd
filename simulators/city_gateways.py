"""The gateways of a city on a few MQTT connections: they keep each batch until it is settled."""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from protocols.clock import Clock
from protocols.envelope import wrap
from protocols.errors import StopService
from protocols.messages import Ack, State, ack_decoder
from protocols.readings import Value
from protocols.records import Readings, encode_records
from protocols.topics import Stream, of
from simulators.mqtt_light import LightClient

CONNECTIONS_MAX = 24
FLYING_MAX = 64
"""Batches of a stream that wait for an acknowledgement; more are held back."""
WAITING_MAX = 20_000
"""Readings of a gateway that are held back; beyond it the oldest are lost, and counted."""
RECORDS_MAX = 200
RESEND_S = 10.0
RECONNECT_S = 1.0
TURNS = 10
"""Of the gateways, a tenth sends its data at each turn."""


@dataclass(slots=True)
class Line:
    """One stream of one gateway."""

    name: Stream
    spool: str
    seq: int = 0
    waiting: deque[Readings] = field(default_factory=deque)
    flying: dict[int, tuple[bytes, float]] = field(default_factory=dict)
    """Records of what is not settled, by seq, and when they were sent last."""

    def batch(self) -> tuple[int, bytes] | None:
        """Take the next batch out of what waits; None: nothing, or too much is in flight."""
        if not self.waiting or len(self.flying) >= FLYING_MAX:
            return None
        count = min(len(self.waiting), RECORDS_MAX)
        records = encode_records([self.waiting.popleft() for _ in range(count)])
        self.seq += 1
        return self.seq, records

    def settle(self, ack: Ack) -> int:
        """Forget what an ack covers; return how many batches that were."""
        done = [
            seq
            for seq in self.flying
            if seq <= ack.through or any(low <= seq <= high for low, high in ack.received)
        ]
        for seq in done:
            del self.flying[seq]
        return len(done)


@dataclass(slots=True)
class Gateway:
    """One gateway; lines `alarm` and `data`."""

    id: str
    client: LightClient
    alarm: Line
    data: Line

    @property
    def lines(self) -> tuple[Line, Line]:
        """Both, the urgent one first."""
        return self.alarm, self.data


class Gateways:
    """All gateways of a city.

    Args:
        names: their ids.
        clock: the wall's.
        rng: for the ids of spools.
        host: of the broker.
        port: of the broker.

    """

    def __init__(
        self, names: Sequence[str], clock: Clock, rng: random.Random, *, host: str, port: int
    ) -> None:
        self._clock, self._host, self._port = clock, host, port
        tag = f"{rng.getrandbits(32):08x}"
        count = min(CONNECTIONS_MAX, len(names))
        self._clients = [
            LightClient(f"city-{tag}-{number}", on_lost=self._lost) for number in range(count)
        ]
        self._listener = LightClient(
            f"city-{tag}-acks", on_message=self._on_ack, on_lost=self._lost
        )
        self._gateways = {
            name: Gateway(
                name,
                self._clients[number % count],
                Line("alarm", f"{rng.getrandbits(128):032x}"),
                Line("data", f"{rng.getrandbits(128):032x}"),
            )
            for number, name in enumerate(names)
        }
        self._last_at: dict[str, int] = {}
        self._urgent: dict[str, None] = {}
        self._turn = 0
        self._broken = asyncio.Event()
        self.batches = self.settled = self.readings = self.sent_again = self.lost = 0

    async def connect(self) -> None:
        """Open all connections and say that the gateways are online.

        Raises:
            StopService: the broker refuses, or is not there.

        """
        try:
            for client in (*self._clients, self._listener):
                await client.connect(self._port, host=self._host)
            await self._listener.subscribe("suyuan/v1/+/+/down/ack")
        except (OSError, TimeoutError) as error:
            raise StopService(f"broker {self._host}:{self._port}: {error}") from error
        for number, one in enumerate(self._gateways.values()):
            self._tell_state(one, online=True)
            if number % 100 == 99:
                await asyncio.sleep(0.02)

    async def mend(self) -> None:
        """Come back whenever the broker was away, until cancelled; nothing is forgotten."""
        while True:
            await self._broken.wait()
            self._broken.clear()
            for client in (*self._clients, self._listener):
                client.close()
            await asyncio.sleep(RECONNECT_S)
            try:
                await self.connect()
            except StopService:
                self._broken.set()

    def take(
        self, gateway: str, asset: str, at: int, values: dict[str, Value], urgent: bool
    ) -> None:
        """Take a reading; an urgent one leaves at the next `send`, the others within a second."""
        at = self._last_at[asset] = max(at, self._last_at.get(asset, 0) + 1)
        one = self._gateways[gateway]
        line = one.alarm if urgent else one.data
        columns: dict[str, list[Value]] = {name: [value] for name, value in values.items()}
        line.waiting.append(Readings(asset=asset, at=[at], values=columns))
        self.readings += 1
        if urgent:
            self._urgent[gateway] = None
        elif len(line.waiting) > WAITING_MAX:
            line.waiting.popleft()
            self.lost += 1

    def send(self) -> None:
        """Send what is urgent, and a tenth of the gateways their data."""
        urgent, self._urgent = self._urgent, {}
        for name in urgent:
            one = self._gateways[name]
            self._send_line(one, one.alarm)
            if one.alarm.waiting:
                self._urgent[name] = None
        self._turn = (self._turn + 1) % TURNS
        now_s = self._clock.boot_ms() / 1_000
        for number, one in enumerate(self._gateways.values()):
            if number % TURNS == self._turn:
                self._send_line(one, one.data)
                self._send_again(one, now_s)

    def unsettled(self) -> int:
        """Count batches and readings that the service has not acknowledged."""
        lines = [line for one in self._gateways.values() for line in one.lines]
        return sum(len(line.flying) + len(line.waiting) for line in lines)

    def close(self) -> None:
        """Say that the gateways are offline, and end the connections."""
        with contextlib.suppress(ConnectionError):
            for one in self._gateways.values():
                self._tell_state(one, online=False)
        for client in (*self._clients, self._listener):
            client.close()

    def _tell_state(self, one: Gateway, *, online: bool) -> None:
        state = msgspec.json.encode(State(online=online, boot_id="city", version="city"))
        one.client.publish(of(one.id, "state").encode(), state, retain=True)

    def _send_line(self, one: Gateway, line: Line) -> None:
        while (batch := line.batch()) is not None:
            self.batches += 1
            self._publish(one, line, *batch)

    def _send_again(self, one: Gateway, now_s: float) -> None:
        """Send the oldest batch again that got no answer."""
        for line in one.lines:
            seq = next(iter(line.flying), 0)
            if seq and now_s - line.flying[seq][1] > RESEND_S:
                self.sent_again += 1
                self._publish(one, line, seq, line.flying[seq][0])

    def _publish(self, one: Gateway, line: Line, seq: int, records: bytes) -> None:
        line.flying[seq] = records, self._clock.boot_ms() / 1_000
        payload = wrap(
            spool=line.spool,
            seq=seq,
            boot_id="city",
            clock="synced",
            sent_at=self._clock.wall_ms(),
            records_raw=records,
        )
        with contextlib.suppress(ConnectionError):  # it is sent again
            one.client.publish(of(one.id, f"up/{line.name}").encode(), payload)

    def _on_ack(self, topic: str, payload: bytes) -> None:
        one = self._gateways.get(topic.split("/")[3])
        if one is None:
            return
        ack = ack_decoder.decode(payload)
        line = one.alarm if ack.stream == "alarm" else one.data
        if ack.spool == line.spool:
            self.settled += line.settle(ack)

    def _lost(self) -> None:
        self._broken.set()


def names_of(gateways: Iterable[str]) -> list[str]:
    """Return each name once, in order."""
    return list(dict.fromkeys(gateways))
