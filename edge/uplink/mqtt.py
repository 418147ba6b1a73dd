"""The MQTT connection of a gateway: Will, retained state, subscriptions, and back again."""

import asyncio
import logging
import random
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from cryptography import x509
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion

from edge.settings import Uplink
from edge.uplink.backoff import Backoff
from edge.uplink.refusal import ENROL_AGAIN, EXPIRED, explain, word_of
from protocols.errors import RetryLater
from protocols.messages import State
from protocols.paho_loop import PahoLoop
from protocols.topics import of

log = logging.getLogger(__name__)

CONNACK_TIMEOUT_S = 10.0
KEEPALIVE_S = 30
GOODBYE_S = 2.0
URGENT_S = 1.5
"""The longest wait for the next try while an alarm waits; each gateway draws its own."""
HELD_S = 30.0
"""A connection that held so long was a good one: the next tries begin quickly again."""
LEAVES = ("ack", "command", "config")
"""What is heard, below `down/`."""
NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which Python's ssl does not name


class Events(msgspec.Struct, frozen=True):
    """Who is told what, on the event loop."""

    up: Callable[[], None]
    """Subscribed, and the state is published."""
    down: Callable[[], None]
    ack: Callable[[bytes], None]
    command: Callable[[bytes], None]
    config: Callable[[bytes], None]
    puback: Callable[[int], None]


class MqttLink:
    """Connects, subscribes, tells that the gateway is online; comes back when it was lost."""

    def __init__(
        self,
        uplink: Uplink,
        *,
        gateway_id: str,
        state: State,
        password: str | None,
        events: Events,
        floor_ms: Callable[[], int | None],
        urgent: Callable[[], bool],
        rng: random.Random,
    ) -> None:
        """Make a link; `run` connects it.

        Args:
            uplink: where the broker is.
            gateway_id: client id, and the topics' owner.
            state: what is retained while online.
            password: goes with the user name.
            events: who is told.
            floor_ms: None when the system clock can judge certificates, else the least that the
                time can be, ms since 1970.
            urgent: tells whether an alarm waits to be sent.
            rng: jitter of reconnecting.

        """
        self._uplink, self._gateway_id, self._password = uplink, gateway_id, password
        self._state = state
        self._offline = msgspec.json.encode(State(online=False, boot_id=state.boot_id))
        self._events, self._floor_ms = events, floor_ms
        self._backoff, self._urgent, self._rng = Backoff(rng), urgent, rng
        self._client: mqtt.Client | None = None
        self._loop: PahoLoop | None = None
        self._step = asyncio.Event()
        self._lost: str | None = None
        self._granted = self._moved = False
        self._said = ""
        """What the library last complained of before the connection stood."""
        self.up = False
        self.why = "not connected yet"
        self.certificate_expired = False
        """The broker refused our certificate as out of date."""
        self.counters = {"connects": 0, "connections_lost": 0, "connects_failed": 0}

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            await self._pause()
            try:
                await self._connect()
                await self._stay()
                if self._loop is not None:  # it still stands when it was we who gave it up
                    await self._loop.disconnect()
            except (RetryLater, TimeoutError) as error:
                self.why = explain(str(error)) or "no answer from the broker"
                self.certificate_expired = word_of(str(error)) == EXPIRED
                self.counters["connects_failed"] += 1
                log.info("no link: %s", self.why)
                if self._loop is not None:
                    await self._loop.disconnect()
            finally:
                self._go_down()

    async def _pause(self) -> None:
        left_s = self._backoff.next_s()
        while left_s > 0:
            step_s = min(left_s, self._rng.uniform(URGENT_S / 2, URGENT_S))
            await asyncio.sleep(step_s)
            left_s = 0 if self._urgent() or self._moved else left_s - step_s
        self._moved = False

    def publish(self, leaf: str, payload: bytes) -> int | None:
        """Publish at QoS 1 (see `Link`)."""
        if not self.up or self._client is None:
            return None
        info = self._client.publish(of(self._gateway_id, leaf), payload, 1)
        return info.mid if info.rc == mqtt.MQTT_ERR_SUCCESS else None

    def tell(self, state: State) -> None:
        """Publish another state, now and at each connection to come."""
        self._state = state
        if self.up and self._client is not None:
            self._publish_state(self._client)

    async def move(self, uplink: Uplink) -> None:
        """Leave this broker and connect to another one, at once."""
        self._uplink, self._moved = uplink, True
        self._backoff.reset()
        await self.say_goodbye()
        self._go_down()
        self._on_lost("other broker settings")

    async def say_goodbye(self) -> None:
        """Tell that the gateway goes offline, and disconnect without the Will."""
        client, loop = self._client, self._loop
        if client is None or loop is None:
            return
        if self.up:
            self._step.clear()
            told = asyncio.Event()
            info = client.publish(of(self._gateway_id, "state"), self._offline, 1, retain=True)
            client.on_publish = lambda _c, _u, mid, _r, _p: told.set() if mid == info.mid else None
            try:
                async with asyncio.timeout(GOODBYE_S):
                    await told.wait()
            except TimeoutError:
                log.info("the broker did not take the goodbye")
        await loop.disconnect()
        self._client = self._loop = None

    def reconnect(self) -> None:
        """Connect anew, for instance with a new certificate; what flies is sent again."""
        self.certificate_expired = False
        self._backoff.reset()
        self._on_lost("connecting anew")

    async def _connect(self) -> None:
        if not self._uplink.broker:
            raise RetryLater(f"what enrolment left is damaged: {ENROL_AGAIN}")
        client = self._make_client()
        self._lost, self._granted, self._said = None, False, ""
        loop = PahoLoop(
            client,
            host=self._uplink.host,
            port=self._uplink.port,
            keepalive_s=KEEPALIVE_S,
            on_lost=self._on_lost,
        )
        self._client, self._loop = client, loop
        await loop.connect()
        self._check_certificate(client)
        self._step.clear()
        async with asyncio.timeout(CONNACK_TIMEOUT_S):
            while not self._granted and self._lost is None:
                await self._step.wait()
                self._step.clear()
        if self._lost is not None:
            raise RetryLater(f"{self._lost}: {self._said}" if self._said else self._lost)
        client.on_log = None  # from here on it would cost something with each message
        self.certificate_expired = False
        self._publish_state(client)
        self.up, self.why = True, ""
        self.counters["connects"] += 1
        log.info("link up: %s", self._uplink.broker)
        self._events.up()

    def _publish_state(self, client: mqtt.Client) -> None:
        payload = msgspec.json.encode(self._state)
        client.publish(of(self._gateway_id, "state"), payload, 1, retain=True)

    async def _stay(self) -> None:
        began = asyncio.get_running_loop().time()
        while self._lost is None:
            await self._step.wait()
            self._step.clear()
        self.counters["connections_lost"] += 1
        self.why = self._lost
        log.info("link lost: %s", self._lost)
        if asyncio.get_running_loop().time() - began >= HELD_S:
            self._backoff.reset()

    def _go_down(self) -> None:
        if self.up:
            self.up = False
            self._events.down()

    def _make_client(self) -> mqtt.Client:
        """Make a new client for each connection: paho sends again what an old one had queued."""
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._gateway_id,
            protocol=mqtt.MQTTv311,
            clean_session=True,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(1000)
        client.max_queued_messages_set(0)
        client.will_set(of(self._gateway_id, "state"), self._offline, 1, retain=True)
        if self._uplink.username:
            client.username_pw_set(self._uplink.username, self._password)
        if self._uplink.tls:
            client.tls_set_context(self._context())
        client.on_log = self._complaint
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_publish = lambda _c, _u, mid, _r, _p: self._events.puback(mid)
        client.on_message = self._message
        return client

    def _context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self._uplink.ca_file)
            if self._uplink.cert_file:
                context.load_cert_chain(self._uplink.cert_file, self._uplink.key_file)
                self._check_own_name(self._uplink.cert_file)
        except OSError as error:  # ssl.SSLError is one
            files = (self._uplink.ca_file, self._uplink.cert_file, self._uplink.key_file)
            missing = [name for name in files if name and not Path(name).is_file()]
            raise RetryLater(f"certificate files {missing or files}: {error}") from error
        if self._floor_ms() is not None:
            context.verify_flags |= NO_CHECK_TIME
        return context

    def _check_own_name(self, file: str) -> None:
        """A broker lets one of another name in, and then takes nothing of what it sends."""
        try:
            certificate = x509.load_pem_x509_certificate(Path(file).read_bytes())
        except ValueError as error:
            raise RetryLater(f"{file}: {error}") from error
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if [one.value for one in names] != [self._gateway_id]:
            found = certificate.subject.rfc4514_string()[:100]
            raise RetryLater(f"{file} is of {found}, but this gateway is {self._gateway_id}")

    def _check_certificate(self, client: mqtt.Client) -> None:
        """Check the broker's certificate against the least that the time can be."""
        floor_ms = self._floor_ms()
        sock = client.socket()
        if floor_ms is None or not isinstance(sock, ssl.SSLSocket):
            return
        until = (sock.getpeercert() or {}).get("notAfter")
        if isinstance(until, str) and ssl.cert_time_to_seconds(until) * 1000 < floor_ms:
            raise RetryLater(f"the broker's certificate ended {until}")

    def _connected(self, client: mqtt.Client, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        if reason.is_failure:
            self._on_lost(f"refused by the broker: {reason}")
            return
        down = [(of(self._gateway_id, f"down/{leaf}"), 1) for leaf in LEAVES]
        client.subscribe(down)

    def _subscribed(self, _c: Any, _u: Any, _mid: int, reasons: Any, _p: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            self._on_lost("the broker refused the subscription")
            return
        self._granted = True
        self._step.set()

    def _message(self, _c: Any, _u: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic.endswith("/down/ack"):
            self._events.ack(bytes(message.payload))
        elif message.topic.endswith("/down/command"):
            self._events.command(bytes(message.payload))
        elif message.topic.endswith("/down/config"):
            self._events.config(bytes(message.payload))

    def _complaint(self, client: mqtt.Client, _u: Any, level: int, text: str) -> None:
        if level == mqtt.MQTT_LOG_ERR and not word_of(self._said):
            self._said = text if word_of(text) else _alert(client) or text

    def _on_lost(self, reason: str) -> None:
        self._lost = self._lost or reason
        self._step.set()


def _alert(client: mqtt.Client) -> str:
    """Return the alert that lies unread before a connection that broke while it was written to."""
    sock = client.socket()
    if isinstance(sock, ssl.SSLSocket):
        try:
            sock.recv(1)
        except (OSError, ValueError) as error:
            return str(error) if word_of(str(error)) else ""
    return ""
