"""Wheels over a real HTTP server that breaks off, lies, or sends another file."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from edge.remote.fetch import fetch
from protocols.errors import RefuseInput
from protocols.signed import Release, Wheel

BODY = bytes(range(256)) * 2000


class Wheels(BaseHTTPRequestHandler):
    """Serves BODY under every name; the first answers break off."""

    break_offs = 0
    ranges = True
    body = BODY
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        cls = type(self)
        cls.asked.append(self.headers.get("Range", ""))
        start = int(self.headers["Range"].split("=")[1].rstrip("-")) if cls.ranges else 0
        rest = cls.body[start:]
        self.send_response(206 if cls.ranges else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if cls.break_offs:
            cls.break_offs -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, type[Wheels]]]:
    handler = type("Handler", (Wheels,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/releases/1", handler
        http.shutdown()
        thread.join()


def release(body: bytes = BODY) -> Release:
    wheel = Wheel("suyuan-1-py3-none-any.whl", hashlib.sha256(body).hexdigest(), len(body))
    return Release(serial=1, version="1", requires_python=">=3.11", issued_at=1, wheels=[wheel])


def quick(_wait_s: float) -> None:
    pass


def test_goes_on_where_it_broke_off(server: tuple[str, type[Wheels]], tmp_path: Path) -> None:
    url, handler = server
    handler.break_offs = 3
    fetch(release(), url, tmp_path, sleep=quick)
    (path,) = tmp_path.iterdir()
    assert path.read_bytes() == BODY
    assert len(handler.asked) == 4
    assert handler.asked[1] == f"bytes={len(BODY) // 2}-"
    fetch(release(), url, tmp_path, sleep=quick)
    assert len(handler.asked) == 4, "what is there is not fetched again"


def test_begins_anew_at_a_server_without_ranges(
    server: tuple[str, type[Wheels]], tmp_path: Path
) -> None:
    url, handler = server
    handler.ranges, handler.break_offs = False, 1
    fetch(release(), url, tmp_path, sleep=quick)
    assert (tmp_path / release().wheels[0].name).read_bytes() == BODY


def test_another_file_than_was_signed_is_never_taken(
    server: tuple[str, type[Wheels]], tmp_path: Path
) -> None:
    url, handler = server
    handler.body = BODY[:-1] + b"!"
    with pytest.raises(RefuseInput, match="bad_hash"):
        fetch(release(), url, tmp_path, sleep=quick)
    assert list(tmp_path.iterdir()) == []


def test_an_endless_file_is_cut_at_its_size(
    server: tuple[str, type[Wheels]], tmp_path: Path
) -> None:
    url, handler = server
    handler.body = BODY * 3
    fetch(release(), url, tmp_path, sleep=quick)
    assert (tmp_path / release().wheels[0].name).stat().st_size == len(BODY)


def test_given_up_in_the_end(tmp_path: Path) -> None:
    waits: list[float] = []
    with pytest.raises(RefuseInput, match="fetch"):
        fetch(release(), "http://127.0.0.1:1/x", tmp_path, within_s=1.0, sleep=waits.append)
    with pytest.raises(RefuseInput, match="bad_url"):
        fetch(release(), "file:///etc", tmp_path)
    assert waits == [0.5]
