"""What the served process does with requests that no decent client sends."""

import contextlib
import gzip
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from cloud.api.bodies import DEPTH_MAX
from cloud.api.server import HEAD_S
from tests.support.epcis_bodies import event as one_event
from tests.support.service_process import ServiceProcess, service_process
from tests.support.stack import TOKEN

LIFT = "elevator:31101099920240017"
TIGHT = """
[http]
trusted_proxies = ["127.0.0.1", "10.0.0.0/8"]
[http.rates]
address_points_per_s = 1
address_points = 25
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with service_process(tmp_path_factory.mktemp("served"), TIGHT) as found:
        yield found


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def get(service: ServiceProcess, *headers: str, path: str = "/api/v1/alarms") -> int:
    lines = [f"GET {path} HTTP/1.1", "Host: a", "Connection: close", *headers, "", ""]
    return status(service.say("\r\n".join(lines).encode()))


def test_address_is_the_one_that_a_trusted_proxy_tells(service: ServiceProcess) -> None:
    for _ in range(25):
        assert get(service, "X-Forwarded-For: 192.0.2.1") == 401
    assert get(service, "X-Forwarded-For: 192.0.2.1") == 429
    assert get(service, "X-Forwarded-For: 192.0.2.2") == 401
    # what stands before the last hop that is not ours was written by who knows whom
    assert get(service, "X-Forwarded-For: 192.0.2.7, 192.0.2.1, 10.1.2.3") == 429
    assert get(service, "X-Forwarded-For: 192.0.2.8", "X-Forwarded-For: 192.0.2.1") == 429
    assert get(service, f"X-Forwarded-For: {'x' * 5_000}, \x01\x7f") in (400, 401)


def test_address_told_by_anybody_else_does_not_count(tmp_path: Path) -> None:
    with service_process(tmp_path, TIGHT.replace('"127.0.0.1", ', "")) as service:
        for number in range(25):
            assert get(service, f"X-Forwarded-For: 192.0.2.{number}") == 401
        assert get(service, "X-Forwarded-For: 192.0.2.77") == 429


def put(service: ServiceProcess, body: bytes, *headers: str, length: str = "") -> int:
    lines = [
        f"PUT /api/v1/assets/{LIFT} HTTP/1.1",
        "Host: a",
        f"Authorization: Bearer {TOKEN}",
        f"Content-Length: {length or len(body)}",
        "Connection: close",
        *headers,
    ]
    return status(service.say("\r\n".join([*lines, "", ""]).encode() + body))


def nested(levels: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    deep = opening * levels + b"0" + closing * levels
    return b'{"attributes": {"a": ' + deep + b"}}"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (nested(DEPTH_MAX - 2), 200),
        (nested(DEPTH_MAX - 1), 400),
        (nested(900), 400),
        (nested(5_000, b'{"a":', b"}"), 400),
        (b"[" * 60_000, 400),
        (b'{"a":' * 10_000, 400),
        (b'{"name": "[[[[[[' + b"[" * 100 + b'"}', 200),
        (b'{"name": "\\"' + b"[" * 100 + b'"}', 200),
        (b'{"attributes": {"a": 1e999}}', 400),
        (b'{"attributes": {"a": ' + b"9" * 6_000 + b"}}", 400),
        (b'{"attributes": {"a": NaN}}', 400),
        (b'{"name": "a\\u0000"}', 400),
        (b'{"name": "a\\ud800"}', 400),
        (b"\xef\xbb\xbf{}", 400),
        ("{}".encode("utf-16"), 400),
        (b'{"name": "\xff"}', 400),
        (b'{"id": "elevator:1", "registered": false}', 400),
        (b'{"name": "' + b"x" * 70_000 + b'"}', 413),
        (b"", 400),
        (b"--a\r\nContent-Disposition: form-data; name=kind\r\n\r\nx\r\n--a--", 400),
        (b"PK\x03\x04" + b"\0" * 1_000, 400),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else str(value),
)
def test_body_that_means_harm_is_refused(
    service: ServiceProcess, body: bytes, expected: int
) -> None:
    told = put(service, body)
    assert (200 if told == 201 else told) == expected, "the first that is taken makes the asset"


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br", "gzip, gzip", "x"])
def test_packed_body_is_not_unpacked(service: ServiceProcess, encoding: str) -> None:
    bomb = gzip.compress(b" " * 20_000_000)
    assert len(bomb) < 64 * 1024
    assert put(service, bomb, f"Content-Encoding: {encoding}") == 415
    assert put(service, b"{}", "Content-Encoding: identity") in (200, 201)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nA: " + b"x" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        + b"A: b\r\n" * 20_000
        + b"\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + b"A: b\r\n" * 101 + b"\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nabcde",
        b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\nabcde",
        b"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
    ids=lambda value: repr(value[:60]),
)
def test_what_is_no_request_is_refused_and_its_connection_ends(
    service: ServiceProcess, request_: bytes
) -> None:
    answer = service.say(request_)
    assert status(answer) >= 400
    assert answer.count(b"HTTP/1.1 ") == 1


def test_no_upgrade_to_another_protocol(service: ServiceProcess) -> None:
    head = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: {}\r\n\r\n"
    for other in ("websocket", "h2c"):
        assert status(service.say(head.format(other).encode())) == 200


def seconds_until_closed(service: ServiceProcess, first: bytes, drip: bytes) -> float:
    """Send something, then a byte each half second; return how long that was borne."""
    started = time.monotonic()
    with service.connect() as link:
        link.sendall(first)
        link.settimeout(0.5)
        while time.monotonic() - started < 3 * HEAD_S:
            try:
                link.sendall(drip)
                if link.recv(65_536) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    return time.monotonic() - started


def test_slow_clients_are_left_and_the_feed_is_not_cut(service: ServiceProcess) -> None:
    slow = [
        (b"", b""),
        (b"GET /healthz HTTP/1.1\r\nA: ", b"a"),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /he", b"a"),
        (b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n", b"a"),
    ]
    with ThreadPoolExecutor(len(slow)) as pool:
        waits = [pool.submit(seconds_until_closed, service, *bytes_) for bytes_ in slow]
        follow_feed(service)
        for wait in waits:
            assert HEAD_S - 6 < wait.result() < HEAD_S + 3


def follow_feed(service: ServiceProcess) -> None:
    """Follow the feed for longer than a slow client is borne."""
    until = time.monotonic() + HEAD_S + 2
    with service.connect() as link:
        head = f"GET /api/v1/feed HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        link.sendall(head.encode())
        link.settimeout(0.5)
        while time.monotonic() < until:
            with contextlib.suppress(TimeoutError):
                assert link.recv(65_536)


def test_events_are_followed_until_the_service_stops(tmp_path: Path) -> None:
    with service_process(tmp_path) as service:
        base, who = f"127.0.0.1:{service.port}/epcis", {"Authorization": f"Bearer {TOKEN}"}
        query = {"name": "all", "query": {}}
        with httpx.Client(base_url=f"http://{base}", headers=who) as client:
            assert client.post("/queries", json=query).status_code == 201
            where = f"ws://{base}/queries/all/events?stream=true"
            with connect(where, additional_headers=who) as link:
                assert client.post("/events", json=one_event()).status_code == 201
                assert "all" in str(link.recv(timeout=5))
                service.child.stop()
                with pytest.raises(ConnectionClosed, match="1012"):
                    link.recv(timeout=5)
        assert "Traceback" not in service.log.read_text()


def test_client_that_goes_in_the_middle_of_its_body_leaves_no_trace(
    service: ServiceProcess,
) -> None:
    with service.connect() as link:
        link.sendall(
            f"PUT /api/v1/assets/{LIFT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n"
            "Content-Length: 100\r\n\r\n{".encode()
        )
        link.shutdown(socket.SHUT_RDWR)
    time.sleep(0.3)
    assert get(service, path="/healthz") == 200
    assert "ClientDisconnect" not in service.log.read_text()
