"""A fixed UHF reader over LLRP: a client of our own over TCP, one connection."""

import contextlib
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from edge.settings import Reader
from edge.sources import llrp_messages as llrp
from edge.sources.base import READ_WAIT_S, Driver, OpenDriver, Seen
from edge.sources.gen2 import REPEAT_S, BankName, Visit, Visits
from edge.sources.llrp_messages import Kind, Message, MessageReader
from protocols.errors import RefuseInput, RetryLater

PORT = 5084
CONNECT_S = 3.0
ANSWER_S = 2.0
KEEPALIVE_MS = 1_000
SILENT_S = 3.5
"""Not even a keepalive for so long: the connection is dead."""
RECEIVE_BYTES = 65_536
SPEC = 1
"""Number of our specifications; those of others are deleted, for a reader obeys one client."""
BANKS: Final[Mapping[BankName, tuple[int, int, int]]] = {"tid": (1, 2, 6), "user": (2, 3, 32)}
"""Of each bank: number of its read, its Gen2 number, words where it cannot be read to its end."""


def opener(reader: Reader) -> OpenDriver:
    """Return a function that connects to this reader; its device is `host` or `host:port`."""
    host, port = _address(reader.device)

    def connect() -> Driver:
        try:
            link = socket.create_connection((host, port), CONNECT_S)
        except OSError as error:
            raise RetryLater(f"{reader.device}: {error}") from None
        client = Client(link, reader.device, Visits(reader.banks, reader.away_s))
        try:
            client.start(reader.power_dbm)
        except RetryLater:
            client.close()
            raise
        return client

    return connect


def _address(device: str) -> tuple[str, int]:
    host, _, port = device.rpartition(":")
    if port.isdecimal() and (":" not in host or host.endswith("]")):
        return host.strip("[]"), int(port)
    return device.strip("[]"), PORT


class Client:
    """One connection to a reader."""

    def __init__(self, link: socket.socket, device: str, visits: Visits) -> None:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._link, self._device, self._visits = link, device, visits
        self._messages = MessageReader()
        self._last_id = 0
        self._heard_s = time.monotonic()
        self._sighted: dict[bytes, Visit] = {}
        self._counters = dict.fromkeys(
            ("malformed_messages", "unknown_messages", "empty_epc", "reads_failed"), 0
        )

    def start(self, power_dbm: float | None) -> None:
        """Take the reader over and let it look for tags.

        Raises:
            RetryLater: it belongs to another client, or refuses what we ask.

        """
        greeting = self._await(Kind.READER_EVENT_NOTIFICATION)
        if llrp.connection_status(greeting.body) != 0:
            raise RetryLater(f"{self._device}: the reader serves another client")
        found = self._ask(Kind.GET_READER_CAPABILITIES, llrp.get_capabilities())
        transmitter = None if power_dbm is None else self._transmitter(found, power_dbm)
        self._ask(Kind.SET_READER_CONFIG, llrp.set_keepalive(KEEPALIVE_MS))
        self._ask(Kind.DELETE_ACCESSSPEC, llrp.number(0))
        self._ask(Kind.DELETE_ROSPEC, llrp.number(0))
        self._ask(Kind.ADD_ROSPEC, llrp.ro_spec(SPEC, transmitter))
        if self._visits.wanted and not self._add_access():
            self._visits.wanted = ()
        self._ask(Kind.ENABLE_ROSPEC, llrp.number(SPEC))

    def read(self) -> Sequence[Seen]:
        """Wait for tags.

        Raises:
            RetryLater: the connection is gone, or its messages are beyond telling apart.

        """
        end_s = time.monotonic() + READ_WAIT_S
        while (left_s := end_s - time.monotonic()) > 0:
            for message in self._receive(left_s):
                self._take(message)
            if any(visit.news for visit in self._sighted.values()):
                break
            if self._sighted:
                end_s = min(end_s, time.monotonic() + REPEAT_S)
        now_s = time.monotonic()
        told: list[Seen] = [
            visit.tell() for visit in self._sighted.values() if self._visits.tellable(visit, now_s)
        ]
        self._sighted.clear()
        return [*told, *self._visits.overdue(now_s)]

    def close(self) -> None:
        """Say goodbye, and let the connection go."""
        with contextlib.suppress(OSError, RetryLater):
            self._send(Kind.CLOSE_CONNECTION)
        self._link.close()

    @property
    def counters(self) -> Mapping[str, int]:
        """What was dropped on the way."""
        return self._counters

    def _transmitter(self, found: Message, power_dbm: float) -> tuple[int, int, int]:
        able = llrp.capabilities(found.body)
        fitting = [(power, index) for index, power in able.powers if power <= power_dbm * 100]
        if not fitting:
            raise RetryLater(f"{self._device}: the reader has no power of {power_dbm} dBm or less")
        return able.hop_table, able.channel, max(fitting)[1]

    def _add_access(self) -> bool:
        """Let memory be read; a reader that cannot read to a bank's end reads so many words."""
        for to_end in (True, False):
            reads = [
                (read, bank, 0 if to_end else words)
                for read, bank, words in map(BANKS.__getitem__, self._visits.wanted)
            ]
            with contextlib.suppress(_Refused):
                self._ask(Kind.ADD_ACCESSSPEC, llrp.access_spec(SPEC, reads))
                self._ask(Kind.ENABLE_ACCESSSPEC, llrp.number(SPEC))
                return True
        self._counters["access_refused"] = 1
        return False

    def _take(self, message: Message) -> None:
        """Take a message that answers nothing in particular."""
        if message.kind == Kind.KEEPALIVE:
            self._send(Kind.KEEPALIVE_ACK, number=message.id)
        elif message.kind == Kind.RO_ACCESS_REPORT:
            try:
                reports = llrp.tag_reports(message.body)
            except RefuseInput:
                self._counters["malformed_messages"] += 1
                return
            for report in reports:
                self._see(report)
        elif message.kind != Kind.READER_EVENT_NOTIFICATION:
            self._counters["unknown_messages"] += 1

    def _see(self, report: llrp.TagReport) -> None:
        if not report.epc:
            self._counters["empty_epc"] += 1
            return
        now_s = time.monotonic()
        visit = self._visits.see(report.epc, now_s, pc=report.pc, rssi_dbm=report.rssi_dbm)
        for name in tuple(visit.missing):
            result, memory = report.reads.get(BANKS[name][0], (None, b""))
            if result == llrp.READ_DONE:
                visit.learn(name, memory)
            elif result == llrp.READ_OVERRUN:
                visit.learn(name, b"")
            elif result is not None:
                self._counters["reads_failed"] += 1
        self._sighted[visit.epc] = visit

    def _ask(self, kind: Kind, body: bytes) -> Message:
        """Send a request and return its answer.

        Raises:
            _Refused: the reader says no.
            RetryLater: it says nothing.

        """
        asked = self._send(kind, body)
        answer = self._await(Kind[f"{kind.name}_RESPONSE"], asked)
        try:
            status = llrp.status(answer.body)
        except RefuseInput as error:
            raise RetryLater(f"{self._device}: {kind.name}: {error}") from None
        if status.code != 0:
            raise _Refused(f"{self._device}: {kind.name} refused: {status.code} {status.text}")
        return answer

    def _await(self, kind: Kind, asked: int | None = None) -> Message:
        end_s = time.monotonic() + ANSWER_S
        while (left_s := end_s - time.monotonic()) > 0:
            answer = None
            for message in self._receive(left_s):
                mine = message.kind in {kind, Kind.ERROR_MESSAGE} and asked in {None, message.id}
                if mine and answer is None:
                    answer = message
                else:
                    self._take(message)
            if answer is not None:
                return answer
        raise RetryLater(f"{self._device}: no {kind.name} within {ANSWER_S} s")

    def _send(self, kind: Kind, body: bytes = b"", number: int | None = None) -> int:
        if number is None:
            self._last_id = number = self._last_id + 1
        try:
            self._link.settimeout(ANSWER_S)
            self._link.sendall(llrp.write(Message(kind, number, body)))
        except OSError as error:
            raise RetryLater(f"{self._device}: {error}") from None
        return number

    def _receive(self, wait_s: float) -> Iterator[Message]:
        """Wait for bytes and yield the messages that they complete."""
        now_s = time.monotonic()
        if now_s - self._heard_s > SILENT_S:
            raise RetryLater(f"{self._device}: nothing heard for {SILENT_S} s")
        try:
            self._link.settimeout(wait_s)
            data = self._link.recv(RECEIVE_BYTES)
        except TimeoutError:
            return
        except OSError as error:
            raise RetryLater(f"{self._device}: {error}") from None
        if not data:
            raise RetryLater(f"{self._device}: the reader closed the connection")
        self._heard_s = time.monotonic()
        try:
            yield from self._messages.feed(data)
        except RefuseInput as error:
            self._counters["malformed_messages"] += 1
            raise RetryLater(f"{self._device}: {error}") from None


class _Refused(RetryLater):
    """The reader answered with a status that is not success."""
