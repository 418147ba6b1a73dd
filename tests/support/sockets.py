"""WebSockets at an application that is served as the service serves it, in the test's loop."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast
from urllib.parse import urlencode

import pytest
import uvicorn
from starlette.types import ASGIApp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from cloud.access.base import Access
from cloud.api.app import create_app
from cloud.api.server import server_config
from cloud.api.sockets import Sockets
from tests.support.audited import Door
from tests.support.epcis import ADMIN, Asked
from tests.support.mosquitto import free_port

PATIENT = Sockets()


@contextlib.asynccontextmanager
async def serve(app: ASGIApp, sockets: Sockets = PATIENT) -> AsyncIterator[uvicorn.Server]:
    """Serve `app` for the length of a block."""
    where = "127.0.0.1", free_port()
    config = server_config(app, where, cert_file="", key_file="", proxies=[], sockets=sockets)
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    task = asyncio.create_task(server.serve())
    while not server.started:
        if task.done():
            task.result()
        await asyncio.sleep(0.01)
    try:
        yield server
    finally:
        server.should_exit = True
        await task


@dataclass
class Line:
    """The binding, served, and a named query `shipped` of whoever asks."""

    asked: Asked
    server: uvicorn.Server

    def url(self, name: str = "shipped", **controls: str) -> str:
        """Return where a query's events are followed."""
        query = urlencode(controls or {"stream": "true"})
        return f"ws://127.0.0.1:{self.server.config.port}/epcis/queries/{name}/events?{query}"

    def follow(
        self, who: Mapping[str, str] = ADMIN, name: str = "shipped", **controls: str
    ) -> connect:
        """Follow a query; used with `async with`."""
        return connect(self.url(name, **controls), additional_headers=who)

    async def refused(self, who: Mapping[str, str] = ADMIN, /, **controls: str) -> dict[str, Any]:
        """Return the problem that the upgrade is answered with."""
        with pytest.raises(InvalidStatus) as refused:
            async with self.follow(who, **controls):
                pass
        answer = refused.value.response
        body = json.loads(answer.body or b"{}")
        assert body["status"] == answer.status_code
        assert answer.headers["x-content-type-options"] == "nosniff"
        return cast("dict[str, Any]", body)


@contextlib.asynccontextmanager
async def open_line(asked: Asked, sockets: Sockets = PATIENT, **more: Any) -> AsyncIterator[Line]:
    """Serve it with these limits; `more`: of `Services`."""
    people = asked.people
    services = replace(asked.world.services, sockets=sockets, **more)
    services = replace(services, access=cast("Access", Door(services.access, people)))
    async with serve(create_app(services), sockets) as server:
        yield Line(asked, server)


async def document(link: ClientConnection, within_s: float = 5) -> dict[str, Any]:
    """Return the next query document's results."""
    async with asyncio.timeout(within_s):
        text = await link.recv()
    assert isinstance(text, str)
    found = json.loads(text)
    assert found["type"] == "EPCISQueryDocument"
    return cast("dict[str, Any]", found["epcisBody"]["queryResults"])


async def serials(link: ClientConnection) -> list[int]:
    """Return the numbers of the items in the next document."""
    events = (await document(link))["resultsBody"]["eventList"]
    return [int(one["epcList"][0].rpartition("/")[2]) for one in events]


async def nothing(link: ClientConnection, for_s: float = 1.2) -> bool:
    """Tell whether nothing comes."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(for_s):
            await link.recv()
        return False
    return True


async def closing(link: ClientConnection, within_s: float = 5) -> tuple[int, str]:
    """Wait for the end; return its code and reason."""
    try:
        async with asyncio.timeout(within_s):
            while True:
                await link.recv()
    except ConnectionClosed as error:
        return (error.rcvd.code, error.rcvd.reason) if error.rcvd else (1006, "")
