"""Every way out of the feed, listened to at once: SSE, webhook, CAP by push and Atom, MQTT, mail…

Receivers that are called over HTTP can fail in turns; what each truly took is kept with its id.
"""

import asyncio
import contextlib
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal
from xml.etree import ElementTree as ET

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from protocols.clock import SystemClock, iso
from simulators.mqtt_light import LightClient
from tests.support.browser import serve
from tests.support.smtp import MailServer, mail_server
from tests.support.stack import TOKEN

Fault = Literal["500", "503", "429", "302", "404", "hang", "late"]
FAULTS: tuple[Fault, ...] = ("500", "503", "429", "302", "404", "hang", "late")
"""`hang` answers too late and takes nothing; `late` takes it and answers too late."""
TIMEOUT_S = 1.0
"""Of the service, for one call: set it so in its settings."""
CAP = "{urn:oasis:names:tc:emergency:cap:1.2}"
ATOM = "{http://www.w3.org/2005/Atom}"
PATHS = {"webhook": "/hook", "cap": "/cap", "alertmanager": "/api/v2/alerts"}
Change = tuple[str, int, str]
"""Event, id of the alarm or rescue, word of the change."""


@dataclass
class Post:
    """An HTTP server that receivers are called at."""

    failing: bool = False
    """In turn, each call ends in one of FAULTS, every second one of a way well."""
    taken: dict[str, list[tuple[str, bytes]]] = field(default_factory=lambda: defaultdict(list))
    """(message id, body) of what was taken, by path."""
    faults: Counter[str] = field(default_factory=Counter)
    _calls: Counter[str] = field(default_factory=Counter)
    _kinds: Iterator[Fault] = field(default_factory=lambda: itertools.cycle(FAULTS))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a call, or fail as it is its turn."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body, path = await request.body(), request.url.path
        self._calls[path] += 1
        kind = next(self._kinds) if self.failing and self._calls[path] % 2 else None
        if kind is not None:
            self.faults[kind] += 1
        if kind in (None, "late"):
            self.taken[path].append((request.headers.get("webhook-id", ""), body))
        if kind in ("hang", "late"):
            await asyncio.sleep(2 * TIMEOUT_S)
        await _answer(kind)(scope, receive, send)


def _answer(kind: Fault | None) -> Response:
    if kind in ("500", "404"):
        return Response(status_code=int(kind))
    if kind in ("503", "429"):
        return Response(status_code=int(kind), headers={"Retry-After": "1"})
    if kind == "302":
        return Response(status_code=302, headers={"Location": "http://127.0.0.1:9/"})
    return Response(status_code=200)


@dataclass
class Ways:
    """All that came, by every way."""

    http: httpx.AsyncClient
    post: Post
    mails: MailServer
    feed: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """(event, data) of the server-sent events: the truth that the others are held against."""
    offsets: list[int] = field(default_factory=list)
    panels: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """By topic without the receiver's key."""

    def changes(self) -> Counter[Change]:
        """Return how often the feed told of each change."""
        return Counter((event, data["id"], data["change"]) for event, data in self.feed)

    def hooked(self) -> Counter[Change]:
        """Return the same of the webhook, each message id once."""
        bodies = dict(self.post.taken[PATHS["webhook"]]).values()
        told = [json.loads(body) for body in bodies]
        return Counter(
            (one["type"].partition(".")[0], one["data"]["id"], one["data"]["change"])
            for one in told
            if one["type"] != "test"
        )

    def panelled(self) -> Counter[Change]:
        """Return the same of the panels."""
        told = {one["id"]: one for one in self.panels["event"]}.values()
        return Counter((one["event"], one["data"]["id"], one["data"]["change"]) for one in told)

    def alerted(self) -> tuple[set[str], set[str]]:
        """Return the things of which Alertmanager was told that they go on, and that they ended.

        Each is `alarm:{id}` or `incident:{id}`.
        """
        begun, ended, now = set[str](), set[str](), iso(SystemClock().wall_ms())
        for _, body in self.post.taken[PATHS["alertmanager"]]:
            for one in json.loads(body):
                over = one.get("endsAt", "9") <= now
                (ended if over else begun).add(one["labels"]["suyuan_id"])
        return begun, ended

    def mailed(self) -> str:
        """Return the subjects of all mails."""
        return "\n".join(str(one["Subject"]) for one in self.mails.taken)

    def pushed(self) -> dict[str, bytes]:
        """Return the CAP documents that were pushed, by identifier."""
        bodies = [body for _, body in self.post.taken[PATHS["cap"]]]
        return {identifier(one): one for one in bodies}

    async def atom(self) -> list[bytes]:
        """Return the CAP documents that the Atom feed leads to, newest first."""
        answer = await self.http.get("/cap", params={"limit": 500})
        answer.raise_for_status()
        found = []
        for entry in ET.fromstring(answer.content).iter(f"{ATOM}entry"):
            links = [one.get("href", "") for one in entry.iter(f"{ATOM}link")]
            path = next(one for one in links if one.endswith(".xml"))
            document = await self.http.get(path[path.index("/cap/") :])
            document.raise_for_status()
            found.append(document.content)
        return found

    async def add_receivers(self, post_address: str) -> None:
        """Ask the service to send by every way."""
        hosts = {
            "webhook": f"{post_address}{PATHS['webhook']}",
            "cap": f"{post_address}{PATHS['cap']}",
            "alertmanager": post_address,
            "mqtt": "",
            "mail": "duty@rescue.test",
        }
        for kind, address in hosts.items():
            body = {"name": kind, "kind": kind, "address": address, "after": 0}
            answer = await self.http.post("/api/v1/receivers", json=body)
            assert answer.status_code == 201, answer.text

    def hear_panel(self, topic: str, payload: bytes) -> None:
        """Take what came to the panels."""
        if payload:
            self.panels["/".join(topic.split("/")[4:])].append(json.loads(payload))

    async def follow(self) -> None:
        """Follow the server-sent events until cancelled."""
        async with self.http.stream(
            "GET", "/api/v1/feed", params={"after": 0}, timeout=None
        ) as answer:
            fields: dict[str, str] = {}
            async for line in answer.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    continue
                if fields.get("event") in ("alarm", "incident"):
                    self.feed.append((fields["event"], json.loads(fields["data"])))
                    self.offsets.append(int(fields["id"]))
                fields = {}


def settings(post_port: int, mail_port: int) -> str:
    """Return the settings of a service that may call these servers."""
    return f"""
base_url = "http://127.0.0.1"
[outbound]
allowed = ["127.0.0.1"]
ports = [{post_port}]
timeout_s = {TIMEOUT_S}
[mail]
host = "127.0.0.1"
port = {mail_port}
security = "none"
sender = "city@rescue.test"
"""


@contextlib.asynccontextmanager
async def servers() -> AsyncIterator[tuple[Post, str, MailServer]]:
    """Serve what receivers are called at; yields it, its address, and the mail server."""
    post, stopping = Post(), asyncio.Event()
    async with serve(post, stopping) as address, mail_server() as mails:
        yield post, address, mails


@contextlib.asynccontextmanager
async def listening(
    http_port: int, broker_port: int, post: Post, mails: MailServer
) -> AsyncIterator[Ways]:
    """Listen by every way to a service that runs."""
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{http_port}",
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=10,
    ) as http:
        ways = Ways(http, post, mails)
        panels = LightClient("panels", on_message=ways.hear_panel)
        await panels.connect(broker_port)
        await panels.subscribe("suyuan/v1/panels/#")
        following = asyncio.create_task(ways.follow())
        try:
            yield ways
        finally:
            following.cancel()
            panels.close()
            with contextlib.suppress(asyncio.CancelledError):
                await following


def identifier(document: bytes) -> str:
    """Return the identifier of a CAP document."""
    return ET.fromstring(document).findtext(f"{CAP}identifier", "")
