"""The whole way of an event in a real process: sent, asked for, delivered, also after a kill."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.epcis_bodies import ITEM, document, event
from tests.support.service_process import ServiceProcess, service_process
from tests.support.stack import TOKEN

ADMIN = {"Authorization": f"Bearer {TOKEN}"}
DEADLINE_S = 20.0


class Receiver(http.server.ThreadingHTTPServer):
    """Takes what it is sent."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        """Take a document."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.headers.get("GS1-Signature", ""), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as the base has it
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def service(tmp_path: Path, receiver: Receiver) -> Iterator[ServiceProcess]:
    config = f'[outbound]\nallowed = ["127.0.0.1"]\nports = [{receiver.server_port}]\n'
    with service_process(tmp_path, config) as service:
        yield service


def serials(receiver: Receiver) -> list[str]:
    """Return the items of all events that were sent, in order."""
    found = []
    for _, body in receiver.taken:
        events = json.loads(body)["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
        found += [one["epcList"][0].removeprefix(ITEM) for one in events]
    return found


def wait(found: Any, wanted: Any) -> None:
    """Wait until `found()` is what is wanted."""
    until = time.monotonic() + DEADLINE_S
    while found() != wanted and time.monotonic() < until:
        time.sleep(0.1)
    assert found() == wanted


def test_event_is_captured_asked_for_and_delivered_also_after_a_kill(
    service: ServiceProcess, receiver: Receiver
) -> None:
    base = f"http://127.0.0.1:{service.port}/epcis"
    with httpx.Client(headers=ADMIN, timeout=20) as client:
        client.post(f"{base}/queries", json={"name": "all", "query": {}}).raise_for_status()
        dest = f"http://127.0.0.1:{receiver.server_port}/"
        body = {"dest": dest, "secret": "a long secret", "stream": True}
        made = client.post(f"{base}/queries/all/subscriptions", json=body)
        assert made.status_code == 201, made.text
        sent = client.post(f"{base}/capture", json=document(event(1), event(2)))
        where = f"http://127.0.0.1:{service.port}{sent.headers['location']}"
        wait(lambda: client.get(where).json()["running"], wanted=False)
        assert client.get(where).json()["success"]
        wait(lambda: serials(receiver), ["1", "2"])
        assert all(len(signature) == 64 for signature, _ in receiver.taken)
    service.child.kill()
    service.start()
    with httpx.Client(headers=ADMIN, timeout=20) as client:
        answer = client.get(f"{base}/events", headers={"Accept": "application/xml"})
        assert answer.text.count("<epc>") == 2
        client.post(f"{base}/events", json=event(3)).raise_for_status()
        wait(lambda: serials(receiver), ["1", "2", "3"])


def test_partner_is_held_to_its_own_tolerances(tmp_path: Path) -> None:
    site = tmp_path / "site" / "epcis" / "tolerances"
    site.mkdir(parents=True)
    own = (
        'schema = 1\nid = "notes"\ntitle = "Notes as keys"\n[severities]\ncomment_key = "warning"\n'
    )
    (site / "notes.toml").write_text(own, encoding="utf-8")
    with (
        service_process(tmp_path, f'rules_overlay = "{tmp_path / "site"}"\n') as service,
        httpx.Client(
            base_url=f"http://127.0.0.1:{service.port}", headers=ADMIN, timeout=20
        ) as client,
    ):
        noted = event(1, _comment="a note")
        refused = client.post("/epcis/events", json=noted)
        assert (refused.status_code, "comment_key" in refused.text) == (400, True), refused.text
        file = {"kind": "platform", "name": "Platform", "tolerances": "nobody"}
        wrong = client.put("/api/v1/organisations/platform", json=file)
        assert (wrong.status_code, "open_tools" in wrong.text) == (400, True), wrong.text
        file["tolerances"] = "notes"
        client.put("/api/v1/organisations/platform", json=file).raise_for_status()
        client.post("/epcis/events", json=noted).raise_for_status()
