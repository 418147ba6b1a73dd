"""The cloud's part of the wire contract, as little as it takes: settle, acknowledge, count.

`python -m tests.benchmarks.edge_ingester --port 1883` says `{}` once subscribed and then answers
each line with `{"values", "messages", "bytes", "duplicates", "urgent": {number: time_ns}}`: what
came so far. A value counts once, however often its batch came.
"""

import argparse
import socket
import threading
import time
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from protocols.envelope import decode
from protocols.limits import ACK_RANGES_MAX
from protocols.messages import Ack
from protocols.ranges import RangeSet
from protocols.records import Readings, Record
from protocols.topics import of, parse
from tests.benchmarks.rig import answer_lines, say


class Ingester:
    """Settles what comes as it comes; acknowledges at QoS 0."""

    def __init__(self, port: int) -> None:
        self.counts = {"values": 0, "messages": 0, "bytes": 0, "duplicates": 0}
        self.urgent: dict[int, int] = {}
        self._settled: dict[tuple[str, str], RangeSet] = {}
        self._client = client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="ingester")
        client.max_queued_messages_set(0)
        client.on_socket_open = self._opened
        self._subscribed = threading.Event()
        client.on_connect = lambda c, *_: c.subscribe("suyuan/v1/+/+/up/+", 1)
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = self._take
        client.connect("127.0.0.1", port)
        client.loop_start()
        self._subscribed.wait(10)

    def report(self, _line: str) -> dict[str, Any]:
        """Return what came so far."""
        return {**self.counts, "urgent": dict(self.urgent)}

    def _opened(self, _client: mqtt.Client, _userdata: Any, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _take(self, _client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        now_ns = time.monotonic_ns()
        topic = parse(message.topic)
        stream = "alarm" if topic.leaf == "up/alarm" else "data"
        envelope = decode(bytes(message.payload))
        if envelope.refused:
            raise ValueError(f"refused: {envelope.refused[0]}")
        settled = self._settled.setdefault((envelope.spool, stream), RangeSet())
        self.counts["messages"] += 1
        self.counts["bytes"] += len(message.payload)
        if envelope.seq in settled:
            self.counts["duplicates"] += 1
        else:
            settled.add(envelope.seq)
            for record in envelope.records:
                self._count(record, now_ns)
        ack = Ack(
            spool=envelope.spool,
            stream="alarm" if stream == "alarm" else "data",
            through=settled.through,
            received=settled.beyond_through()[:ACK_RANGES_MAX],
            time=time.time_ns() // 1_000_000,
            backlog_bytes_s=200_000,
        )
        self._client.publish(of(topic.gateway_id, "down/ack"), msgspec.json.encode(ack))

    def _count(self, record: Record, now_ns: int) -> None:
        if not isinstance(record, Readings):
            return
        self.counts["values"] += len(record.at) * len(record.values)
        for fault in record.values.get("fault_code", ()):
            if isinstance(fault, str) and fault != "0":
                self.urgent.setdefault(int(fault), now_ns)


def main() -> None:
    """Run until SIGTERM or the end of input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    ingester = Ingester(parser.parse_args().port)
    say({})
    answer_lines(ingester.report)
    threading.Event().wait()


if __name__ == "__main__":
    main()
